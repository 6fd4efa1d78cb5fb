import { Table, Text, Title } from '@mantine/core'
import shared from '../control.module.css'
import { compared, pair } from './compare'
import { gateWords, type Version } from './gate'

/** The champion beside its challenger, or beside the newest other version, metric by metric. */
export function Compare({ versions }: { versions: Version[] }) {
  const { champion, other } = pair(versions)
  if (!champion) return null
  const rows = compared(champion, other)
  return (
    <div className={shared.box}>
      <Title order={3} size="h5">
        {title(champion, other)}
      </Title>
      <Text size="sm" className={shared.soft}>
        {rows.length > 0
          ? 'Offline figures, each on the last 10 % of its own time.'
          : 'Their runs hold no figures of a judged training.'}
        {other?.gate_report && ` On the same time, the gate found: ${gateWords(other.gate_report)}.`}
      </Text>
      {rows.length > 0 && <Figures rows={rows} champion={champion} other={other} />}
    </div>
  )
}

function title(champion: Version, other: Version | null): string {
  if (!other) return `The champion, version ${champion.version}`
  const name = other.aliases.includes('challenger') ? 'the challenger' : 'the newest other'
  return `The champion, version ${champion.version}, beside ${name}, version ${other.version}`
}

interface FiguresProps {
  rows: ReturnType<typeof compared>
  champion: Version
  other: Version | null
}

function Figures({ rows, champion, other }: FiguresProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard scrolls it too
    <section className={shared.scroll} tabIndex={0} aria-label="Metrics of two versions">
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
          {rows.map((row) => (
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
                    <span className={shared.soft}>{row.better ? ' more' : ' less'}</span>
                  )}
                </Table.Td>
              )}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  )
}
