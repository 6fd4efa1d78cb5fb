import { Anchor, Badge, Button, Group, Text, Title } from '@mantine/core'
import { useState } from 'react'
import { Ago } from '@/parts/Ago'
import shared from '../control.module.css'
import { fixed } from '../numbers'
import { StateMark } from '../StateMark'
import { GateDetails } from './GateDetails'
import { gateWords, type Version } from './gate'
import classes from './model.module.css'

/** As many as one takes in at a glance; the others are one click away. */
const SHOWN = 4

/** Every version, newest first: its aliases, the gate's word, what became of it. */
export function History({ versions }: { versions: Version[] }) {
  const [all, setAll] = useState(false)
  const shown = all ? versions : versions.slice(0, SHOWN)
  return (
    <div className={shared.box}>
      <Title order={3} size="h5">
        History
      </Title>
      <ol className={classes.history}>
        {shown.map((version) => (
          <Entry key={version.version} version={version} />
        ))}
      </ol>
      {versions.length > SHOWN && (
        <Button size="xs" variant="default" mt="md" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? `Only the newest ${SHOWN}` : `All ${versions.length} versions`}
        </Button>
      )}
    </div>
  )
}

function Entry({ version }: { version: Version }) {
  const report = version.gate_report
  return (
    <li className={classes.entry} data-champion={version.aliases.includes('champion') || undefined}>
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
      <Facts version={version} />
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

function Facts({ version }: { version: Version }) {
  const ndcg = version.metrics['live.product.ndcg_at_10']
  return (
    <Text size="xs" component="div" className={shared.soft}>
      made <Ago at={version.created_at} />
      {version.tags.reason && ` · ${version.tags.reason}`}
      {ndcg !== undefined && ` · NDCG@10 ${fixed(ndcg, 4)}`}
      {version.release && ` · ${version.release}`}
      {version.run_url && (
        <>
          {' · '}
          <Anchor href={version.run_url} target="_blank" rel="noreferrer" size="xs" underline="always">
            run in MLflow
            <span className="hidden-visually"> of version {version.version}, opens a new tab</span>
          </Anchor>
        </>
      )}
    </Text>
  )
}
