import { Table, Text } from '@mantine/core'
import cards from '../control.module.css'
import { compared, pair } from './compare'
import { gateWords, type Version } from './gate'
import classes from './model.module.css'

/** The champion beside its challenger, metric by metric. */
export function Compare({ versions }: { versions: Version[] }) {
  const { champion, other } = pair(versions)
  if (!champion) return null
  return (
    <div className={cards.card}>
      <Text fw={600}>{other ? 'Champion beside challenger' : 'The champion'}</Text>
      <Text size="sm" className={classes.soft}>
        Offline figures, each on the last 10 % of its own time.
        {other?.gate_report && ` On the same time, the gate found: ${gateWords(other.gate_report)}.`}
      </Text>
      <div className={classes.scroll}>
        <Table fz="sm" mt="sm">
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">Metric</Table.Th>
              <Table.Th scope="col">Version {champion.version}</Table.Th>
              {other && <Table.Th scope="col">Version {other.version}</Table.Th>}
              {other && <Table.Th scope="col">Change</Table.Th>}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {compared(champion, other).map((row) => (
              <Table.Tr key={row.label}>
                <Table.Th scope="row" fw={400}>
                  {row.label}
                </Table.Th>
                <Table.Td>{row.left}</Table.Td>
                {other && <Table.Td>{row.right}</Table.Td>}
                {other && (
                  <Table.Td>
                    {row.change ?? '–'}
                    {row.better !== null && (
                      <span className={classes.soft}>{row.better ? ' more' : ' less'}</span>
                    )}
                  </Table.Td>
                )}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </div>
  )
}
