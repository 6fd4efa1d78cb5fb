import { ActionIcon, CopyButton, Tooltip } from '@mantine/core'
import classes from './Command.module.css'

/** A text for a terminal or an editor, with a button that copies it. */
export function Command({ text, label }: { text: string; label: string }) {
  return (
    <div className={classes.command}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard scrolls it too */}
      <section tabIndex={0} aria-label={label} className={classes.text}>
        <pre>{text}</pre>
      </section>
      <Copy text={text} label={label} />
    </div>
  )
}

/** A button that copies a text; `label` says what of. */
export function Copy({ text, label }: { text: string; label: string }) {
  return (
    <CopyButton value={text} timeout={1_500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? 'Copied' : `Copy: ${label}`} position="left">
          <ActionIcon
            variant="subtle"
            color={copied ? 'teal' : 'gray'}
            onClick={copy}
            aria-label={copied ? `Copied: ${label}` : `Copy: ${label}`}
          >
            <svg
              viewBox="0 0 16 16"
              width="16"
              height="16"
              fill="none"
              stroke="currentColor"
              strokeWidth="1.5"
              aria-hidden
            >
              {copied ? (
                <path d="m3 8.5 3.5 3.5L13 4.5" />
              ) : (
                <path d="M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8z" strokeLinejoin="round" />
              )}
            </svg>
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  )
}
