import { Text } from '@mantine/core'
import { fixed, percent } from '../numbers'
import { StateMark } from '../StateMark'
import classes from './experiments.module.css'
import { place, type Scale, scaleOf } from './scale'
import {
  type Experiment,
  figure,
  type Metric,
  type Rate,
  rateOf,
  resultOf,
  treatment,
  type Variant,
  versusWords,
} from './words'

/** Every variant's rate with its interval, all on one scale, and what the comparison with the control says. */
export function Intervals({ experiment: { metric, variants } }: { experiment: Experiment }) {
  const rates = variants.map((variant) => rateOf(resultOf(variant), metric))
  const scale = scaleOf(rates.filter((rate) => rate !== null))
  const control = rates[variants.findIndex((variant) => variant.control)] ?? null
  return (
    <>
      <ul className={classes.variants}>
        {variants.map((variant, n) => (
          <li key={variant.name} className={classes.variant}>
            <Name variant={variant} />
            <Interval
              name={variant.name}
              rate={rates[n] ?? null}
              control={control}
              scale={scale}
              metric={metric}
            />
            <Comparison variant={variant} metric={metric} />
          </li>
        ))}
      </ul>
      {rates.some((rate) => rate !== null) && <Axis scale={scale} metric={metric} />}
    </>
  )
}

function Name({ variant }: { variant: Variant }) {
  const role = variant.control ? 'control' : variant.shadow ? 'shadow, shown to nobody' : null
  return (
    <div>
      <Text fw={600}>{variant.name}</Text>
      <Text size="xs" c="dimmed">
        {role && role !== variant.name && `${role} · `}
        {!variant.shadow && `${percent(variant.share, 0)} of users · `}
        {treatment(variant)}
      </Text>
    </div>
  )
}

interface IntervalProps {
  name: string
  rate: Rate | null
  control: Rate | null
  scale: Scale
  metric: Metric
}

function Interval({ name, rate, control, scale, metric }: IntervalProps) {
  if (!rate)
    return (
      <Text size="sm" c="dimmed">
        no list yet
      </Text>
    )
  const [mean, low, high] = [rate.mean, rate.low, rate.high].map((value) => figure(value, metric))
  const [from, to] = [place(rate.low, scale), place(rate.high, scale)]
  return (
    <div>
      <div className={classes.track} role="img" aria-label={`${name}: ${mean}, 95 % from ${low} to ${high}`}>
        {scale.ticks.map((tick) => (
          <span key={tick} className={classes.tick} style={{ left: `${place(tick, scale)}%` }} />
        ))}
        {control && <span className={classes.control} style={{ left: `${place(control.mean, scale)}%` }} />}
        <span className={classes.span} style={{ left: `${from}%`, width: `${to - from}%` }} />
        <span className={classes.mean} style={{ left: `${place(rate.mean, scale)}%` }} />
      </div>
      <Text size="xs" className={classes.figures}>
        <b>{mean}</b> ({low} to {high})
      </Text>
    </div>
  )
}

function Comparison({ variant, metric }: { variant: Variant; metric: Metric }) {
  const result = resultOf(variant)
  const words = result?.versus_control && versusWords(result.versus_control, metric)
  return (
    <div>
      {words && (
        <>
          <StateMark state={words.state} word={words.short} />
          <Text size="xs" c="dimmed">
            {words.long}
          </Text>
        </>
      )}
      {result && (
        <Text size="xs" c="dimmed">
          {fixed(result.impressions, 0)} lists to {fixed(result.users, 0)} users
        </Text>
      )}
      {variant.shadow && (
        <Text size="xs" c="dimmed">
          Judged by acts on the list that was shown: to be held against other shadows only.
        </Text>
      )}
    </div>
  )
}

function Axis({ scale, metric }: { scale: Scale; metric: Metric }) {
  return (
    <div className={classes.axis} aria-hidden="true">
      <div className={classes.labels}>
        {scale.ticks.map((tick) => (
          <span key={tick} style={{ left: `${place(tick, scale)}%` }}>
            {figure(tick, metric)}
          </span>
        ))}
      </div>
    </div>
  )
}
