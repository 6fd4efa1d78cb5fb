import { Text, Title } from '@mantine/core'
import classes from './control.module.css'
import { Vitals } from './vitals/Vitals'

/** How the system is, which model serves, what experiments and drift say. */
export default function ControlRoom() {
  return (
    <div className={classes.room}>
      <header>
        <Title order={1}>Control room</Title>
        <Text c="dimmed">
          How the system is, which model serves, and what experiments and drift say of it.
        </Text>
      </header>
      <Vitals />
    </div>
  )
}
