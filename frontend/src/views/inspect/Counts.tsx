import { Text, VisuallyHidden } from '@mantine/core'
import { weightAfter } from './decay'
import { Flash } from './Flash'
import classes from './inspect.module.css'
import { countText, typeText } from './words'

interface Props {
  counts: Record<string, Record<string, number>>
  halfLivesS: Record<string, number>
  /** The moment that the counts are as of. */
  asOfMs: number
  nowMs: number
  chosen: string | null
  onChoose: (type: string) => void
}

/** Decayed counts, event type by half-life: as of now, and below it as stored. The names choose what is drawn. */
export function Counts({ counts, halfLivesS, asOfMs, nowMs, chosen, onChoose }: Props) {
  const halfLives = Object.entries(halfLivesS)
  const most = Math.max(...Object.values(counts).flatMap((of) => Object.values(of)), 1)
  return (
    <div className={classes.scroll}>
      <table className={classes.heat}>
        <VisuallyHidden component="caption">
          Decayed counts by event type and half-life: as of now, then as stored
        </VisuallyHidden>
        <thead>
          <tr>
            <th scope="col">half-life</th>
            {halfLives.map(([name]) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {Object.entries(counts).map(([type, of]) => (
            <tr key={type} data-empty={Object.values(of).every((count) => count === 0) || undefined}>
              <th scope="row">
                <button type="button" aria-pressed={type === chosen} onClick={() => onChoose(type)}>
                  {typeText(type)}
                </button>
              </th>
              {halfLives.map(([name, seconds]) => {
                const stored = of[name] ?? 0
                const now = stored * weightAfter(nowMs - asOfMs, seconds)
                const heat = Math.log1p(now) / Math.log1p(most)
                return (
                  <td key={name} style={{ '--heat': `${Math.round(heat * 42)}%` } as React.CSSProperties}>
                    <Flash value={stored}>
                      <span className={classes.nowCount}>{countText(now)}</span>
                      <span className={classes.storedCount} title="as stored, as of the newest event">
                        <VisuallyHidden component="span">stored </VisuallyHidden>
                        {countText(stored)}
                      </span>
                    </Flash>
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
      <Text size="xs" c="dimmed" mt="xs">
        Large: as of now. Small: as stored, as of the newest event. Choose an event type to see it drawn.
      </Text>
    </div>
  )
}
