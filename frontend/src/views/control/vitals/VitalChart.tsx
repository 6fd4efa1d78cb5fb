import '@mantine/charts/styles.css'
import { LineChart } from '@mantine/charts'
import { Box, CloseButton, Group, Switch, Table, Text, Title } from '@mantine/core'
import { useState } from 'react'
import { StateMark } from '../StateMark'
import { SPAN_MS, top } from './curves'
import { clock, rows, thinned } from './table'
import type { Tile } from './tiles'
import classes from './vitals.module.css'

const COLORS = ['var(--series-1)', 'var(--series-2)']

interface Props {
  tile: Tile
  until: number
  onClose: () => void
}

/** A vital sign large, as curves or as a table. */
export default function VitalChart({ tile, until, onClose }: Props) {
  const [asTable, setAsTable] = useState(false)
  const all = rows(tile.lines)
  return (
    <div className={classes.chart}>
      <Group justify="space-between" align="flex-start" wrap="nowrap">
        <div>
          <Title order={3} size="h4">
            {tile.label}
          </Title>
          <Text size="sm" c="dimmed">
            {tile.about}.
          </Text>
        </div>
        <CloseButton aria-label={`Close the chart of ${tile.label}`} onClick={onClose} />
      </Group>
      <Group justify="space-between" my="sm" gap="sm">
        <Text size="sm" component="div">
          <StateMark state={tile.judgement.state} /> {tile.judgement.why}
        </Text>
        <Switch
          size="xs"
          label="As a table"
          checked={asTable}
          onChange={(event) => setAsTable(event.currentTarget.checked)}
        />
      </Group>
      {asTable ? <Figures tile={tile} all={all} /> : <Curves tile={tile} all={all} until={until} />}
    </div>
  )
}

type Rows = ReturnType<typeof rows>

function Curves({ tile, all, until }: { tile: Tile; all: Rows; until: number }) {
  return (
    <LineChart
      h={260}
      data={all}
      dataKey="at"
      series={tile.lines.map((line, n) => ({ name: line.name, color: COLORS[n] as string }))}
      referenceLines={
        tile.target ? [{ y: tile.target.value, label: tile.target.label, color: 'var(--dim)' }] : []
      }
      valueFormatter={tile.format}
      tooltipProps={{ labelFormatter: (at) => clock(Number(at)) }}
      xAxisProps={{
        type: 'number',
        domain: [until - SPAN_MS, until],
        tickFormatter: (at: number) =>
          until - at < 1_000 ? 'now' : `−${Math.round((until - at) / 60_000)} min`,
        ticks: [5, 4, 3, 2, 1, 0].map((minutes) => until - minutes * 60_000),
      }}
      yAxisProps={{
        width: 84,
        domain: [
          0,
          top(
            tile.lines.map((line) => line.curve),
            tile.target?.value,
          ),
        ],
      }}
      lineProps={{ isAnimationActive: false }}
      withLegend={tile.lines.length > 1}
      withDots={false}
      curveType="linear"
      connectNulls={false}
      role="img"
      aria-label={`${tile.label} of the last five minutes. ${tile.judgement.why}. The switch above shows it as a table.`}
    />
  )
}

function Figures({ tile, all }: { tile: Tile; all: Rows }) {
  return (
    // What scrolls must be reachable by keyboard.
    <Box
      className={classes.scroll}
      tabIndex={0}
      role="region"
      aria-label={`${tile.label}, every ten seconds`}
    >
      <Table striped stickyHeader fz="sm">
        <Table.Thead>
          <Table.Tr>
            <Table.Th scope="col">Time</Table.Th>
            {tile.lines.map((line) => (
              <Table.Th key={line.name} scope="col">
                {line.name}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {thinned(all, 9_500).map((row) => (
            <Table.Tr key={row.at}>
              <Table.Td>{clock(row.at)}</Table.Td>
              {tile.lines.map(({ name }) => (
                <Table.Td key={name}>{row[name] == null ? '–' : tile.format(row[name])}</Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Box>
  )
}
