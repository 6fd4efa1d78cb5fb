import { Table } from '@mantine/core'
import shared from '../control.module.css'
import { fixed } from '../numbers'
import { StateMark } from '../StateMark'
import { type GateReport, latencyWords, side } from './gate'
import classes from './model.module.css'

const number = (value: number | null) => (value === null ? '–' : fixed(value, 3))

/** All that the gate looked at, unfolded on demand. */
export function GateDetails({ version, report }: { version: string; report: GateReport }) {
  const failing = report.checks.filter((check) => !check.passed).length
  const ratios = Object.entries(report.ratios)
  const latency = latencyWords(report.numbers)
  return (
    <details className={`${shared.details} ${classes.details}`}>
      <summary>
        {report.checks.length} checks{failing > 0 && `, ${failing} failed`}
        <span className="hidden-visually"> of version {version}</span>
      </summary>
      {ratios.length > 0 && (
        <div className={shared.scroll}>
          <Table fz="sm" aria-label="NDCG@10 over the champion's, by segment">
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">Segment</Table.Th>
                <Table.Th scope="col">NDCG@10 ratio</Table.Th>
                <Table.Th scope="col">95 %</Table.Th>
                <Table.Th scope="col">Which is</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {ratios.map(([segment, ratio]) => (
                <Table.Tr key={segment}>
                  <Table.Td>{segment}</Table.Td>
                  <Table.Td>{number(ratio.ratio)}</Table.Td>
                  <Table.Td>
                    {number(ratio.low)} to {number(ratio.high)}
                  </Table.Td>
                  <Table.Td>{side(ratio)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
      {latency && <p>Latency: {latency}.</p>}
      <ul className={classes.checks}>
        {report.checks.map((check) => (
          <li key={check.name}>
            <StateMark state={check.passed ? 'good' : 'bad'} word={check.passed ? 'Passed' : 'Failed'} />{' '}
            <b>{check.name}</b>: {check.detail}
          </li>
        ))}
      </ul>
    </details>
  )
}
