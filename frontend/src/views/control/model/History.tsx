import { Anchor, Badge, Group, Text } from '@mantine/core'
import cards from '../control.module.css'
import { fixed } from '../numbers'
import { StateMark } from '../StateMark'
import { GateDetails } from './GateDetails'
import { gateWords, type Version } from './gate'
import classes from './model.module.css'

/** Every version, newest first: its aliases, the gate's word, what became of it. */
export function History({ versions }: { versions: Version[] }) {
  return (
    <div className={cards.card}>
      <Text fw={600}>History</Text>
      <ol className={classes.history}>
        {versions.map((version) => (
          <Entry key={version.version} version={version} />
        ))}
      </ol>
    </div>
  )
}

function Entry({ version }: { version: Version }) {
  const ndcg = version.metrics['live.product.ndcg_at_10']
  const report = version.gate_report
  return (
    <li className={classes.entry} data-champion={version.aliases.includes('champion')}>
      <Group gap="xs">
        <Text fw={650}>Version {version.version}</Text>
        {version.aliases.map((alias) => (
          <Badge key={alias} variant={alias === 'champion' ? 'filled' : 'outline'} tt="none" radius="sm">
            {alias}
          </Badge>
        ))}
        {version.gate === 'passed' && <StateMark state="good" word="Gate passed" />}
        {version.gate === 'refused' && <StateMark state="bad" word="Gate refused" />}
        {version.gate === null && <StateMark state="quiet" word="Not judged" />}
      </Group>
      <Text size="xs" className={classes.soft}>
        <time dateTime={version.created_at}>
          {new Date(version.created_at).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })}
        </time>
        {version.tags.reason && ` · ${version.tags.reason}`}
        {ndcg !== undefined && ` · NDCG@10 ${fixed(ndcg, 4)}`}
        {version.release && ` · ${version.release}`}
        {version.run_url && (
          <>
            {' · '}
            <Anchor href={version.run_url} target="_blank" rel="noreferrer" size="xs" underline="always">
              run in MLflow
              <span className={classes.hidden}> of version {version.version}, opens a new tab</span>
            </Anchor>
          </>
        )}
      </Text>
      {version.rolled_back && (
        <Text size="sm" mt={4}>
          <StateMark state="watch" word="Rolled back" /> {version.rolled_back}
        </Text>
      )}
      {report && (
        <Text size="sm" mt={4}>
          {gateWords(report)}.
        </Text>
      )}
      {report && report.checks.length > 0 && <GateDetails version={version.version} report={report} />}
    </li>
  )
}
