import { Button, Text, Title } from '@mantine/core'
import { useState } from 'react'
import { Ago } from '@/parts/Ago'
import shared from '../control.module.css'
import { fixed } from '../numbers'
import { StateMark } from '../StateMark'
import { Distances } from './Distances'
import { bars, type Report, stateOf, trainingWords, verdictWords } from './words'

/** As many as one compares at a glance; the others are one click away. */
const SHOWN = 10

/** One look for drift: its verdict, what was wrong with the data, and every feature's distance. */
export function Look({ report }: { report: Report }) {
  const [all, setAll] = useState(false)
  const found = bars(report.features)
  return (
    <>
      <div>
        <StateMark state={stateOf(report.verdict)} word={report.verdict} />
        <Title order={3} size="h4">
          {verdictWords(report.verdict)}
        </Title>
        <Text size="sm">
          {report.reason}. {trainingWords(report)}
        </Text>
        <Text size="xs" component="div" className={shared.soft}>
          <Ago at={report.at} /> · {fixed(report.rows, 0)} served rows
          {report.version && ` of version ${report.version}`}
        </Text>
      </div>
      {report.alerts.length > 0 && <Alerts report={report} />}
      {found.length > 0 && <Distances bars={all ? found : found.slice(0, SHOWN)} />}
      {found.length > SHOWN && (
        <div>
          <Button size="xs" variant="default" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? `Only the farthest ${SHOWN}` : `All ${found.length} columns`}
          </Button>
        </div>
      )}
    </>
  )
}

function Alerts({ report: { alerts } }: { report: Report }) {
  return (
    <ul className={shared.list} aria-label="What is wrong with the data">
      {alerts.map(({ check, feature, message }) => (
        <li key={`${check} ${feature}`}>
          <StateMark state="bad" word={check} /> {message}
        </li>
      ))}
    </ul>
  )
}
