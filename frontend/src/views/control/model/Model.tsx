import { Alert, List, Text } from '@mantine/core'
import type { Config } from '../config'
import { useServed, useVersions } from '../queries'
import { Asked, Nothing, Section } from '../Section'
import { Administer } from './Administer'
import { Compare } from './Compare'
import { History } from './History'
import classes from './model.module.css'
import { Serving } from './Serving'

interface Props {
  config: Config | undefined
  apiKey: string
  onKey: (key: string) => void
}

/** Which model serves, how it came to that, and the way forward and back. */
export function Model({ config, apiKey, onKey }: Props) {
  const served = useServed()
  const versions = useVersions(Boolean(served.data?.canary))
  return (
    <Section
      id="model"
      title="The model"
      lead="What serves, what is on trial, and every version's way through the gate."
    >
      <div className={classes.stack}>
        <Asked query={served} who="the recommender" height={150}>
          {(model) => (
            <>
              <Serving served={model} />
              <Administer
                served={model}
                versions={versions.data?.versions ?? []}
                config={config}
                apiKey={apiKey}
                onKey={onKey}
              />
            </>
          )}
        </Asked>
        <Asked query={versions} who="the registry" height={260}>
          {({ versions: all, trouble }) => (
            <>
              {trouble && (
                <Alert color="yellow" variant="light" title="The registry is not read anew" role="status">
                  <Text size="sm">{trouble}</Text>
                </Alert>
              )}
              {all.length > 0 && <Compare versions={all} />}
              {all.length > 0 && <History versions={all} />}
              {all.length === 0 && !trouble && (
                <Nothing
                  title="No version is registered yet"
                  command={'make train\n# or: python -m flows.train'}
                >
                  Until one is, lists are popular items. A training takes some two minutes:
                </Nothing>
              )}
            </>
          )}
        </Asked>
      </div>
    </Section>
  )
}

/** Steps in their order. */
export function Steps({ steps }: { steps: string[] }) {
  return (
    <List type="ordered" size="sm" spacing={6}>
      {steps.map((step) => (
        <List.Item key={step}>{step}</List.Item>
      ))}
    </List>
  )
}
