import { Text } from '@mantine/core'
import { StateMark } from '../StateMark'
import type { Vitals } from './rules'
import classes from './vitals.module.css'

const NAMES: Record<string, string> = {
  mlflow: 'MLflow',
  postgres: 'PostgreSQL',
  redis: 'Redis',
  kafka: 'Kafka',
}

/** Which processes answer, and which of what they lean on. */
export function Health({ vitals }: { vitals: Vitals }) {
  const targets = Object.entries(vitals.targets)
  const dependencies = Object.entries(vitals.dependencies)
  return (
    <div className={classes.health}>
      <div>
        <Text size="sm" fw={600} id="targets">
          Processes
        </Text>
        <ul aria-labelledby="targets" className={classes.parts}>
          {targets.map(([name, target]) => (
            <li key={name}>
              <StateMark state={target.up ? 'good' : 'bad'} word={target.up ? 'Up' : 'Away'} /> {name}
              {target.error && <Text size="xs">{target.error}</Text>}
            </li>
          ))}
        </ul>
      </div>
      <div>
        <Text size="sm" fw={600} id="dependencies">
          What the recommender leans on
        </Text>
        {dependencies.length === 0 && (
          <Text size="sm" c="dimmed">
            Unknown while it does not answer.
          </Text>
        )}
        <ul aria-labelledby="dependencies" className={classes.parts}>
          {dependencies.map(([name, up]) => (
            <li key={name}>
              <StateMark state={up ? 'good' : 'bad'} word={up ? 'Up' : 'Away'} /> {NAMES[name] ?? name}
            </li>
          ))}
        </ul>
      </div>
    </div>
  )
}
