import { Table, Text } from '@mantine/core'
import { Ago } from '@/parts/Ago'
import { Asked } from '../Asked'
import shared from '../control.module.css'
import { useDrift } from '../queries'
import { Section } from '../Section'
import { Start } from '../Start'
import { StateMark } from '../StateMark'
import { Look } from './Look'
import { type Report, stateOf } from './words'

const LOOK = `source .local/env
prefect deployment run drift/freshet --watch`

/** Whether what is served still looks like what the champion learned from. */
export function Drift() {
  const query = useDrift()
  return (
    <Section title="Drift" lead="What was served of late, against what the champion was trained on.">
      <Asked query={query} what="the looks for drift" height={240}>
        {({ reports: [newest, ...earlier] }) =>
          newest ? (
            <div className={shared.stack}>
              <Look report={newest} />
              {earlier.length > 0 && <Earlier reports={earlier} />}
            </div>
          ) : (
            <None />
          )
        }
      </Asked>
    </Section>
  )
}

function None() {
  return (
    <Start title="Nobody has looked for drift yet" command={LOOK} label="Command that looks for drift">
      Prefect looks daily at 02:53 UTC. At once, where make up runs its worker:
    </Start>
  )
}

function Earlier({ reports }: { reports: Report[] }) {
  return (
    <details className={shared.details}>
      <summary>{reports.length === 1 ? 'The look before' : `${reports.length} earlier looks`}</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard scrolls it too */}
      <section className={shared.scroll} tabIndex={0} aria-label="Earlier looks for drift">
        <Table fz="sm">
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">When</Table.Th>
              <Table.Th scope="col">Verdict</Table.Th>
              <Table.Th scope="col">Found</Table.Th>
              <Table.Th scope="col">Champion</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {reports.map((report) => (
              <Table.Tr key={report.at}>
                <Table.Td>
                  <Ago at={report.at} />
                </Table.Td>
                <Table.Td>
                  <StateMark state={stateOf(report.verdict)} word={report.verdict} />
                </Table.Td>
                <Table.Td>
                  <Text size="sm" miw={220}>
                    {report.reason}
                  </Text>
                </Table.Td>
                <Table.Td>{report.version ?? '–'}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </section>
    </details>
  )
}
