import { Button, Title } from '@mantine/core'
import { useVisitor } from '@/api/visitor'
import { UserPicker } from '@/parts/UserPicker'
import { Rails } from './Rails'
import classes from './watch.module.css'

/** Watch it learn: be somebody, act, and see the next list know it. */
export default function Watch() {
  const { userId, made, choose, renew } = useVisitor()
  return (
    <>
      <header className={classes.head}>
        <div>
          <Title order={1}>Watch it learn</Title>
          <p className={classes.lead}>
            Click, rate or buy something. A few milliseconds later it is a feature, and your list knows it.
          </p>
        </div>
        <div className={classes.who}>
          <UserPicker label="Look as" value={userId} onChange={choose} />
          <Button variant="light" onClick={renew}>
            New visitor
          </Button>
        </div>
      </header>
      {/* Whoever comes next begins without the journeys of the one before. */}
      <Rails key={userId} userId={userId} made={made} />
    </>
  )
}
