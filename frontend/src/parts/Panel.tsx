import { type ReactNode, useId } from 'react'
import classes from './Panel.module.css'

/** A card with a heading; a landmark of that name. */
export function Panel({
  title,
  lead,
  aside,
  children,
}: {
  title: string
  lead?: ReactNode
  aside?: ReactNode
  children: ReactNode
}) {
  const id = useId()
  return (
    <section className={classes.panel} aria-labelledby={id}>
      <div className={classes.head}>
        <div>
          <h2 className={classes.title} id={id}>
            {title}
          </h2>
          {lead && <p className={classes.lead}>{lead}</p>}
        </div>
        {aside}
      </div>
      {children}
    </section>
  )
}

/** One big number with its name. */
export function Stat({
  label,
  value,
  unit,
  hint,
}: {
  label: string
  value: ReactNode
  unit?: string
  hint?: ReactNode
}) {
  return (
    <dl className={classes.stat} style={{ margin: 0 }}>
      <dt>{label}</dt>
      <dd>
        <span className={classes.value}>{value}</span>
        {unit && <span className={classes.unit}>{unit}</span>}
        {hint && <div className={classes.hint}>{hint}</div>}
      </dd>
    </dl>
  )
}
