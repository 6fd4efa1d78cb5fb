import { formatMs } from '@/parts/time'
import { ACT_ICONS } from './Icons'
import classes from './Journey.module.css'
import {
  actInWords,
  ended,
  type Outcome,
  ownTime,
  STEPS,
  type Step,
  stepState,
  type Journey as Travelled,
  totals,
} from './journey'
import { Sparkline } from './Sparkline'

const LABELS: Record<Step, [title: string, hint: string]> = {
  accepted: ['Accepted', 'ingest has checked it'],
  logged: ['In Kafka', 'the broker has acknowledged it'],
  written: ['Feature written', 'the user’s row in Redis holds it'],
  answered: ['Answer changed', 'the next list knows it'],
}
const OUTCOMES: Record<Outcome, string> = {
  personal: 'the list is personal now',
  changed: 'the list is another one',
  same: 'asked anew: the same list',
}
const LISTED = 6

/** Where the last act is on its way, and how long earlier ones took. */
export function Journey({ journeys }: { journeys: readonly Travelled[] }) {
  const [latest] = journeys
  return (
    <section className={classes.panel} aria-label="Journey of your last act">
      <div className={classes.head}>
        <h2>Journey of an act</h2>
        {latest?.at.answered !== undefined && <Total ms={latest.at.answered} />}
      </div>
      <p className={classes.what}>
        {latest ? actInWords(latest.act) : 'Click a card, rate it or buy it: watch it become a feature here.'}
      </p>
      <ol className={classes.steps} key={latest?.id ?? 0}>
        {STEPS.map((step) => (
          <StepLine key={step} step={step} journey={latest} />
        ))}
      </ol>
      {latest?.trouble && (
        <p className={classes.trouble} role="alert">
          {latest.trouble}
        </p>
      )}
      {journeys.length > 0 && <History journeys={journeys} />}
    </section>
  )
}

function Total({ ms }: { ms: number }) {
  return (
    <span className={classes.total}>
      <span className="hidden-visually">In all </span>
      {formatMs(ms)}
    </span>
  )
}

function StepLine({ step, journey }: { step: Step; journey: Travelled | undefined }) {
  const [title, hint] = LABELS[step]
  const state = journey ? stepState(journey, step) : 'waiting'
  const took = journey ? ownTime(journey, step) : null
  const said = step === 'answered' && journey?.outcome ? OUTCOMES[journey.outcome] : hint
  return (
    <li className={classes.step} data-step={step} data-state={state}>
      <span className={classes.dot} aria-hidden="true" />
      <span className={classes.label}>
        {title}
        <span className={classes.hint}>{said}</span>
      </span>
      <span className={classes.ms}>
        {took !== null && formatMs(took)}
        {state === 'going' && <span className="hidden-visually">under way</span>}
        {state === 'failed' && 'failed'}
      </span>
    </li>
  )
}

function History({ journeys }: { journeys: readonly Travelled[] }) {
  const all = totals(journeys)
  return (
    <div className={classes.history}>
      <div className={classes.head}>
        <h3>Your last acts</h3>
        <Sparkline values={all} label={`Time from act to new list of the last ${all.length} acts`} />
      </div>
      <ul>
        {journeys.slice(0, LISTED).map((journey) => (
          <li key={journey.id}>
            <span className={classes.icon}>{ACT_ICONS[journey.act.type]}</span>
            <span className={classes.act}>
              <span className="hidden-visually">{journey.act.type.replaceAll('_', ' ')} </span>
              {journey.act.title}
              {journey.act.value ? ` · ${journey.act.value}/5` : ''}
            </span>
            <span className={classes.ms}>{lineEnd(journey)}</span>
          </li>
        ))}
      </ul>
    </div>
  )
}

function lineEnd(journey: Travelled): string {
  if (journey.trouble) return 'failed'
  return ended(journey) ? formatMs(journey.at.answered) : '…'
}
