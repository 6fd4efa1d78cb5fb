import { type ReactNode, useEffect } from 'react'
import { Link, useLocation } from 'wouter'
import { useVisitor } from '@/api/visitor'
import { ConnectionBanner } from './ConnectionBanner'
import { Mark, VIEW_ICONS } from './Icons'
import { VIEWS, viewAt } from './routes'
import { SchemeToggle } from './SchemeToggle'
import classes from './Shell.module.css'

/** What surrounds every view: the way to it, the way round, who looks, and what is wrong. */
export function Shell({ children }: { children: ReactNode }) {
  const [location] = useLocation()
  const view = viewAt(location)
  useEffect(() => {
    document.title = view ? `${view.title} · Freshet` : 'Freshet'
  }, [view])
  return (
    <>
      <a className={classes.skip} href="#main">
        Skip to content
      </a>
      <header className={classes.bar}>
        <div className={classes.within}>
          <Link href="/" className={classes.name} aria-label="Freshet, first page">
            <Mark />
            <span>Freshet</span>
          </Link>
          <Tabs current={view?.path} />
          <div className={classes.right}>
            <VisitorChip />
            <SchemeToggle />
          </div>
        </div>
      </header>
      <div className={classes.page}>
        <ConnectionBanner />
        <main id="main" tabIndex={-1} className={classes.main}>
          {children}
        </main>
      </div>
    </>
  )
}

function Tabs({ current }: { current: string | undefined }) {
  return (
    <nav className={classes.tabs} aria-label="Views">
      {VIEWS.map(({ path, label }) => (
        <Link
          key={path}
          href={path}
          className={classes.tab}
          aria-current={path === current ? 'page' : undefined}
        >
          {VIEW_ICONS[path]}
          <span>{label}</span>
        </Link>
      ))}
    </nav>
  )
}

function VisitorChip() {
  const { userId, made } = useVisitor()
  return (
    <Link
      href={`/inspect/users/${encodeURIComponent(userId)}`}
      className={classes.chip}
      aria-label={`You are ${userId}. Look at these features`}
    >
      <span className={classes.dot} data-made={made || undefined} aria-hidden="true" />
      {userId}
    </Link>
  )
}
