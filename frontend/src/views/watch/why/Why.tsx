import { Drawer } from '@mantine/core'
import type { Recommendation } from '@/api/hooks'
import { kindOf, SOURCES } from '@/parts/answers'
import { Answer, Empty, Loading } from '@/parts/states'
import { Contributions } from './Contributions'
import { type Explained, useWhy } from './useWhy'
import classes from './Why.module.css'

interface Props {
  userId: string
  k: number
  listId: string | null
  shown: Recommendation
  opened: boolean
  onClose: () => void
}

/** Why a user gets an item: reasons in words, and what moved its score. */
export default function Why({ userId, k, listId, shown, opened, onClose }: Props) {
  const why = useWhy(userId, shown.item_id, k, listId)
  const name = shown.title ?? `Item ${shown.item_id}`
  return (
    <Drawer
      opened={opened}
      onClose={onClose}
      returnFocus={false}
      position="right"
      size={460}
      title={<span className={classes.title}>Why {name}?</span>}
      closeButtonProps={{ 'aria-label': 'Close' }}
      transitionProps={{ duration: 220 }}
      overlayProps={{ backgroundOpacity: 0.35 }}
    >
      <Answer query={why} loading={<Loading label="Asking why" height={56} rows={4} />}>
        {(explained) => <Reasons {...explained} />}
      </Answer>
    </Drawer>
  )
}

/** An explanation, once it is there. */
export function Reasons({ item, answer, listed }: Explained) {
  const moved = item.contributions ?? {}
  return (
    <div className={classes.body}>
      <section>
        <h3>Reasons</h3>
        {item.reasons?.length ? (
          <ol className={classes.reasons}>
            {item.reasons.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ol>
        ) : (
          <p className={classes.note}>
            No reason in words: it came as {SOURCES[item.source] ?? item.source}.
          </p>
        )}
      </section>
      <section>
        <h3>What moved its score</h3>
        {Object.keys(moved).length > 0 ? (
          <>
            <p className={classes.note}>
              Against an average candidate: right of the line raised it, left lowered it.
            </p>
            <Contributions moved={moved} />
          </>
        ) : (
          <Empty title="No model ranked it">
            This list is {kindOf(answer.fallback, false).words}. Act on something: then the model ranks, and
            this shows how.
          </Empty>
        )}
      </section>
      <dl className={classes.facts}>
        <Fact name="Score" value={item.score.toFixed(3)} />
        <Fact name="Source" value={SOURCES[item.source] ?? item.source} />
        <Fact name="Model" value={answer.model_version ?? 'none'} />
        <Fact name="Variant" value={answer.variant ?? 'none'} />
      </dl>
      {!listed && (
        <p className={classes.note}>
          It is not in the list for you now; it was ranked on its own, as if it were.
        </p>
      )}
    </div>
  )
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}
