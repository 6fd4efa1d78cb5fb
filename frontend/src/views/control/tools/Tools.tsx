import type { components } from '@/api/schema/console'
import { Asked } from '../Asked'
import { useConsole } from '../queries'
import { Section } from '../Section'
import { StateMark } from '../StateMark'
import classes from './tools.module.css'

type Link = components['schemas']['Link']

const ABOUT: Record<string, string> = {
  MLflow: 'Runs, versions, gate reports, Evidently’s pages',
  Prefect: 'Flows: schedules, runs, artefacts',
  Feast: 'Feature views, entities, feature services',
  Grafana: 'Dashboards of the metrics, for longer than five minutes',
}

/** The ecosystem's own pages, one click away; of what is not up, how to get it. */
export function Tools() {
  const query = useConsole()
  return (
    <Section title="Other tools" lead="Each opens a new tab.">
      <Asked query={query} what="the tools" height={90}>
        {({ links }) => (
          <ul className={classes.tools}>
            {links.map((link) => (
              <li key={link.name}>
                <Tool link={link} />
              </li>
            ))}
          </ul>
        )}
      </Asked>
    </Section>
  )
}

/** A page of another program: a link, or how it comes to be one. */
export function Tool({ link: { name, url, up, hint } }: { link: Link }) {
  const head = (
    <>
      <span className={classes.head}>
        <strong>{name}</strong>
        <StateMark state={up ? 'good' : 'quiet'} word={up ? 'Up' : 'Not up'} />
      </span>
      <span className={classes.about}>{ABOUT[name]}</span>
    </>
  )
  if (up && url)
    return (
      <a className={classes.tool} href={url} target="_blank" rel="noreferrer">
        {head}
        <span className={classes.place}>{new URL(url).host} ↗</span>
        <span className="hidden-visually">, opens a new tab</span>
      </a>
    )
  return (
    <div className={classes.tool}>
      {head}
      <span className={classes.hint}>{hint}.</span>
    </div>
  )
}
