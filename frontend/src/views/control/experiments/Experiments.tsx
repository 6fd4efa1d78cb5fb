import { useExperiments } from '../queries'
import { Asked, Section } from '../Section'
import classes from './experiments.module.css'

/** Controlled experiments and how they stand. */
export function Experiments() {
  const query = useExperiments()
  return (
    <Section id="experiments" title="Experiments" lead="Variants side by side, with 95 % intervals.">
      <Asked query={query} who="the recommender" height={200}>
        {({ experiments }) => (
          <ul className={classes.list}>
            {experiments.map(({ name, state }) => (
              <li key={name}>
                {name}: {state}
              </li>
            ))}
          </ul>
        )}
      </Asked>
    </Section>
  )
}
