import { Text, Title } from '@mantine/core'
import classes from './control.module.css'
import { Drift } from './drift/Drift'
import { Experiments } from './experiments/Experiments'
import { KeyField } from './KeyField'
import { Model } from './model/Model'
import { Tools } from './tools/Tools'
import { Vitals } from './vitals/Vitals'

/** How the system is, which model serves, what experiments and drift say. */
export default function ControlRoom() {
  return (
    <div className={classes.room}>
      <header className={classes.head}>
        <div>
          <Title order={1}>Control room</Title>
          <Text c="dimmed">
            How the system is, which model serves, and what experiments and drift say of it.
          </Text>
        </div>
        <KeyField />
      </header>
      <Vitals />
      <Model />
      <Experiments />
      <Drift />
      <Tools />
    </div>
  )
}
