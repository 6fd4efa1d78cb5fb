import '@mantine/charts/styles.css'
import { ChartTooltip, LineChart } from '@mantine/charts'
import { ReferenceArea, ReferenceLine } from 'recharts'
import type { Point, Span } from './decay'
import classes from './inspect.module.css'
import { countText, distanceOf, momentOf } from './words'

const COLOURS = ['var(--series-2)', 'var(--series-3)', 'var(--series-1)', 'var(--series-4)']

interface Props {
  points: Point[]
  halfLives: string[]
  span: Span
  nowMs: number
  /** From when the curve is known; what lies before is shaded. */
  knownFromMs: number
  label: string
}

/** The curves alone, in a file of their own: charts are heavy, so they come when they are first wanted. */
export default function DecayChart({ points, halfLives, span, nowMs, knownFromMs, label }: Props) {
  const fromMs = nowMs - span.backMs
  const toMs = nowMs + span.aheadMs
  const series = halfLives.map((name, n) => ({
    name,
    label: `half-life ${name}`,
    color: COLOURS[n % COLOURS.length] as string,
  }))
  return (
    <>
      <ul className={classes.legend} aria-label="Half-lives">
        {series.map(({ name, color }) => (
          <li key={name}>
            <span style={{ background: color }} aria-hidden />
            half-life {name}
          </li>
        ))}
      </ul>
      <div role="img" aria-label={label}>
        <LineChart
          h={260}
          data={points}
          dataKey="at"
          series={series}
          curveType="linear"
          withDots={false}
          strokeWidth={2}
          tickLine="x"
          gridAxis="y"
          lineProps={{ isAnimationActive: false }}
          lineChartProps={{ accessibilityLayer: false, margin: { top: 18, right: 12 } }}
          valueFormatter={countText}
          xAxisProps={{
            type: 'number',
            domain: [fromMs, toMs],
            allowDataOverflow: true,
            ticks: ticksOf(span).map((distance) => nowMs + distance),
            tickFormatter: (at: number) => distanceOf(at - nowMs),
            interval: 'preserveStartEnd',
          }}
          yAxisProps={{ width: 44, tickFormatter: (value: number) => String(Number(value.toPrecision(3))) }}
          tooltipAnimationDuration={0}
          tooltipProps={{
            content: ({ label: at, payload }) => (
              <ChartTooltip
                label={typeof at === 'number' ? momentOf(at) : null}
                payload={payload}
                series={series}
                valueFormatter={countText}
              />
            ),
          }}
        >
          <ReferenceArea x1={nowMs} x2={toMs} fill="var(--dim)" fillOpacity={0.07} ifOverflow="hidden" />
          {knownFromMs > fromMs && (
            <ReferenceArea
              x1={fromMs}
              x2={Math.min(knownFromMs, toMs)}
              fill="var(--dim)"
              fillOpacity={0.16}
              label={{
                value: 'not kept',
                position: 'insideTop',
                fontSize: 11,
                fill: 'var(--dim)',
              }}
            />
          )}
          <ReferenceLine
            x={nowMs}
            stroke="var(--ink)"
            strokeDasharray="3 3"
            label={{ value: 'now', position: 'top', fontSize: 11, fill: 'var(--ink)' }}
          />
        </LineChart>
      </div>
    </>
  )
}

function ticksOf({ backMs, aheadMs, tickMs }: Span): number[] {
  const ticks = []
  for (let n = -Math.floor(backMs / tickMs); n * tickMs <= aheadMs; n++) ticks.push(n * tickMs)
  return ticks
}
