import { Badge, Checkbox, Group, Loader, Stack, Text, Title, VisuallyHidden } from '@mantine/core'
import { Fragment, useState } from 'react'
import { Flash } from './Flash'
import classes from './inspect.module.css'
import type { FeaturePair, Inspected, ViewRow } from './row'
import { valueText } from './words'

/** Every feature as our decoder and as Feast's SDK read it, view by view. */
export function Sdk({ inspected }: { inspected: Inspected }) {
  const [terse, setTerse] = useState(true)
  const ready = inspected.sdk.state === 'ready'
  return (
    <Stack gap="md">
      <Group justify="space-between" align="center">
        <SdkState inspected={inspected} />
        <Checkbox
          size="xs"
          label="Hide zeros that agree"
          checked={terse}
          onChange={(event) => setTerse(event.currentTarget.checked)}
        />
      </Group>
      {inspected.views.map((row) => (
        <ViewTable key={row.view} row={row} terse={terse} ready={ready} />
      ))}
    </Stack>
  )
}

function SdkState({ inspected }: { inspected: Inspected }) {
  const { state, message, took_ms } = inspected.sdk
  if (state === 'loading') {
    return (
      <Group gap="xs" role="status">
        <Loader size="xs" />
        <Text size="sm">{message}</Text>
      </Group>
    )
  }
  if (state === 'away') {
    return (
      <Text component="div" size="sm" role="status">
        <Badge color="red" variant="light" mr="xs">
          away
        </Badge>
        {message}
      </Text>
    )
  }
  const pairs = inspected.views.flatMap((row) => row.features)
  const equal = pairs.filter((pair) => pair.equal).length
  return (
    <Text component="div" size="sm">
      <Badge color={inspected.equal ? 'teal' : 'red'} variant="light" mr="xs">
        {inspected.equal ? 'all equal' : `${pairs.length - equal} differ`}
      </Badge>
      <span className={classes.digits}>
        {equal} of {pairs.length} values equal; the SDK's own read took {took_ms?.toFixed(1)} ms
      </span>
    </Text>
  )
}

function ViewTable({ row, terse, ready }: { row: ViewRow; terse: boolean; ready: boolean }) {
  const shown = row.features.filter((pair) => !terse || pair.online !== 0 || (ready && !pair.equal))
  const hidden = row.features.length - shown.length
  return (
    <section aria-label={row.view}>
      <Title order={3} size="h5" className={classes.viewName}>
        {row.view}
      </Title>
      {row.features.length === 0 ? (
        <Text size="sm" c="dimmed">
          No row of this view.
        </Text>
      ) : (
        <div className={classes.scroll}>
          <table className={classes.pairs}>
            <thead>
              <tr>
                <th scope="col">feature</th>
                <th scope="col">Freshet</th>
                <th scope="col">
                  <VisuallyHidden component="span">equal</VisuallyHidden>
                </th>
                <th scope="col">Feast SDK</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((pair) => (
                <Pair key={pair.name} pair={pair} ready={ready} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {hidden > 0 && (
        <Text size="xs" c="dimmed" mt={4}>
          {hidden} zeros hidden
        </Text>
      )}
    </section>
  )
}

function Pair({ pair, ready }: { pair: FeaturePair; ready: boolean }) {
  return (
    <tr data-differs={(ready && !pair.equal) || undefined}>
      <th scope="row" title={pair.description}>
        {pair.name.split('_').map((part, n) => (
          <Fragment
            key={pair.name
              .split('_')
              .slice(0, n + 1)
              .join('_')}
          >
            {n > 0 && (
              <>
                _<wbr />
              </>
            )}
            {part}
          </Fragment>
        ))}
      </th>
      <td>
        <Flash value={pair.online}>
          <Value value={pair.online} label={`${pair.name} by Freshet`} />
        </Flash>
      </td>
      <td className={classes.mark}>{ready && <EqualMark equal={pair.equal} />}</td>
      <td>
        {ready ? (
          <Value value={pair.feast} label={`${pair.name} by Feast’s SDK`} />
        ) : (
          <span className={classes.pending}>…</span>
        )}
      </td>
    </tr>
  )
}

function EqualMark({ equal }: { equal: boolean }) {
  return (
    <span role="img" aria-label={equal ? 'equal' : 'differs'}>
      {equal ? '=' : '≠'}
    </span>
  )
}

function Value({ value, label }: { value: unknown; label: string }) {
  if (!Array.isArray(value) || value.length <= 3) return <>{valueText(value)}</>
  return (
    <details className={classes.details}>
      <summary>{valueText(value)}</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard scrolls it too */}
      <section className={classes.list} tabIndex={0} aria-label={label}>
        {value.slice(0, 200).map(String).join(', ')}
      </section>
      {value.length > 200 && ` and ${value.length - 200} more`}
    </details>
  )
}
