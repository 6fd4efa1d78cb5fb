import { Group, Text } from '@mantine/core'
import { useRecommenderAddress } from '@/api/addresses'
import { Command, Copy } from '@/parts/Command'
import { curlOf } from './curl'
import type { Asked } from './hooks'
import { Json } from './Json'
import classes from './playground.module.css'

/** The request and its answer as they go over the wire. */
export function Wire({ name, asked }: { name: string; asked: Asked }) {
  const base = useRecommenderAddress()
  const { request, answer } = asked
  if (!request) return null
  return (
    <section aria-label={`Request ${name}`} className={classes.wire}>
      <Text size="sm" fw={500}>
        {request.method} /recommend
      </Text>
      <Command text={curlOf(request, base)} label={`Request ${name} as curl`} />
      {answer && (
        <details className={classes.answer}>
          <summary>The answer as JSON</summary>
          <Group justify="flex-end">
            <Copy text={JSON.stringify(answer, null, 2)} label={`answer ${name} as JSON`} />
          </Group>
          <div className={classes.json}>
            <Json value={answer} />
          </div>
        </details>
      )}
    </section>
  )
}
