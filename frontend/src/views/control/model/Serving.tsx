import { Alert, Progress, Text } from '@mantine/core'
import { useEffect, useState } from 'react'
import { percent } from '../numbers'
import classes from './model.module.css'
import { named, progress, type Served, timeLeft } from './trial'

const when = (iso: string) =>
  new Date(iso).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })

/** The releases in memory: what serves, what is on trial, what it would go back to, and what was turned down. */
export function Serving({ served }: { served: Served }) {
  const refused = Object.entries(served.refused)
  return (
    <>
      {served.trouble && (
        <Alert
          color="yellow"
          variant="light"
          title="The registry gives the recommender no answer"
          role="status"
        >
          <Text size="sm">{served.trouble} What serves goes on.</Text>
        </Alert>
      )}
      {served.untold.length > 0 && (
        <Alert color="yellow" variant="light" title="The registry does not know yet" role="status">
          <Text size="sm">
            Version {served.untold.join(', ')} was left here. The registry is told as soon as it answers.
          </Text>
        </Alert>
      )}
      <div className={classes.releases}>
        <Release name="Serves" release={capital(named(served))}>
          {served.model_version ?? 'no model is loaded: lists are popular items'}
          {served.loaded_at && <> · since {when(served.loaded_at)}</>}
        </Release>
        {served.canary ? (
          <Trial canary={served.canary} />
        ) : (
          <Release name="On trial" release="None">
            A promoted version is tried on a share of the users first.
          </Release>
        )}
        <Release name="Way back" release={served.previous ? capital(named(served.previous)) : 'None'}>
          {served.previous
            ? `${served.previous.model_version}, in memory`
            : 'No release before this one is in memory.'}
        </Release>
      </div>
      {refused.length > 0 && (
        <ul className={classes.refused} aria-label="Versions that were turned down">
          {refused.map(([version, why]) => (
            <li key={version}>
              <b>Version {version} was turned down:</b> {why}
            </li>
          ))}
        </ul>
      )}
    </>
  )
}

function Release({ name, release, children }: { name: string; release: string; children: React.ReactNode }) {
  return (
    <div className={classes.release} data-empty={release === 'None'}>
      <Text size="xs" c="dimmed">
        {name}
      </Text>
      <Text fw={650} size="lg">
        {release}
      </Text>
      <Text size="xs" className={classes.soft}>
        {children}
      </Text>
    </div>
  )
}

function Trial({ canary }: { canary: NonNullable<Served['canary']> }) {
  const now = useNow()
  return (
    <Release name="On trial" release={capital(named(canary))}>
      answers {percent(canary.share, 0)} of the users · {timeLeft(canary.until, now)}
      <Progress
        value={100 * progress(canary, now)}
        size="sm"
        mt={8}
        aria-label="How much of the trial is over"
      />
    </Release>
  )
}

/** The time, four times a second. */
function useNow(): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250)
    return () => clearInterval(timer)
  }, [])
  return now
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
