import { Badge, Group, Text } from '@mantine/core'
import { kindOf } from '@/parts/answers'
import { KindBadge } from '@/parts/Badges'
import { Failed } from '@/parts/states'
import type { Asked } from './hooks'
import classes from './playground.module.css'

/** How an answer came about: time, model, fallback; or why there is none. */
export function Facts({ asked }: { asked: Asked }) {
  const { answer, failure } = asked
  return (
    <div className={classes.facts}>
      {failure && <Failed error={failure} retry={asked.again} />}
      {answer && (
        <Group gap="xs" data-stale={asked.stale || undefined}>
          <Badge variant="light" color="gray" tt="none" className={classes.digits}>
            {answer.took_ms.toFixed(1)} ms
          </Badge>
          <KindBadge fallback={answer.fallback} known={answer.feature_age_ms !== null} />
          <Text size="xs" c="dimmed" className={classes.digits}>
            {answer.count} items · {answer.variant ?? 'no variant'} · {answer.model_version ?? 'no model'}
            {answer.exhausted && ' · nothing more may be shown'}
          </Text>
          {answer.fallback && (
            <Text size="xs" className={classes.whole}>
              Fallback <code>{answer.fallback}</code>:{' '}
              {kindOf(answer.fallback, answer.feature_age_ms !== null).words}.
            </Text>
          )}
        </Group>
      )}
    </div>
  )
}
