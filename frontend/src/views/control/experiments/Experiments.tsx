import { Asked } from '../Asked'
import shared from '../control.module.css'
import { useExperiments } from '../queries'
import { Section } from '../Section'
import { Start } from '../Start'
import { Shown } from './Shown'

const START = `source .local/env
cat > calm.json <<'EOF'
{"name": "calm-lists", "metric": "ctr", "variants": [
  {"name": "control", "share": 0.5},
  {"name": "diverse", "share": 0.5, "rules": {"diversity": 0.3}}]}
EOF
python -m flows.experiments put calm.json`

/** Controlled experiments: those that run, then the one that ended last. */
export function Experiments() {
  const query = useExperiments()
  return (
    <Section
      title="Experiments"
      lead="Variants of the recommender, given to users by a hash of their names. Every interval is one of 95 %."
    >
      <Asked query={query} what="the experiments" height={200}>
        {({ experiments }) =>
          experiments.length > 0 ? (
            <div className={shared.stack}>
              {experiments.map((experiment) => (
                <Shown key={experiment.name} experiment={experiment} />
              ))}
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
    <Start title="No experiment has been started" command={START} label="Command that starts an experiment">
      A variant is a model, rules, or both. This one asks whether more diverse lists are clicked more often:
    </Start>
  )
}
