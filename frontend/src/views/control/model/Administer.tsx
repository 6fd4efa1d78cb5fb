import { Anchor, Button, Group, NativeSelect, Text, TextInput } from '@mantine/core'
import { useState } from 'react'
import shared from '../control.module.css'
import { KEY_FIELD } from '../KeyField'
import { Notice } from '../Notice'
import { type Config, useConsole } from '../queries'
import { Confirm } from './Confirm'
import type { Version } from './gate'
import classes from './model.module.css'
import { refusal } from './refusals'
import { named, noWayBack, promoteSteps, rollbackSteps, type Served } from './trial'
import { type Act, useAct } from './useAct'

interface Props {
  served: Served
  versions: Version[]
}

/** Promotion and rollback by hand, for whoever may. */
export function Administer({ served, versions }: Props) {
  const config = useConsole().data
  const act = useAct()
  const [chosen, setChosen] = useState<string | null>(null)
  const [asked, setAsked] = useState<Act['kind'] | null>(null)
  const inUse = [served.registered_version, served.canary?.registered_version]
  const choices = versions.filter((each) => !inUse.includes(each.version))
  const version = choices.find((each) => each.version === chosen) ?? choices[0]
  const may = config?.may_administer ?? false
  const stuck = noWayBack(served)

  const begin = (what: Act) => {
    setAsked(null)
    act.mutate(what)
  }
  const end = () => setAsked(null)
  return (
    <div className={`${shared.box} ${shared.stack}`}>
      <Group gap="sm" align="flex-end" className={classes.acts}>
        <NativeSelect
          label="Version to promote"
          value={version?.version ?? ''}
          onChange={({ currentTarget }) => setChosen(currentTarget.value)}
          data={choices.map(option)}
          disabled={choices.length === 0}
        />
        <Button disabled={!may || !version} loading={act.isPending} onClick={() => setAsked('promote')}>
          {version ? `Promote version ${version.version}` : 'Promote'}
        </Button>
        <Button
          variant="default"
          disabled={!may || stuck !== null}
          loading={act.isPending}
          onClick={() => setAsked('rollback')}
        >
          Roll back
        </Button>
      </Group>
      <Text size="sm" className={shared.soft}>
        <WhoMay config={config} /> {choices.length === 0 && 'There is no other version to promote. '}
        {stuck}
      </Text>
      {act.isSuccess && (
        <Notice tone="good" title="Done" onClose={act.reset}>
          {act.data}
        </Notice>
      )}
      {act.isError && (
        <Notice tone="bad" title="Refused" onClose={act.reset}>
          {refusal(act.error)}
        </Notice>
      )}
      {version && (
        <Promotion opened={asked === 'promote'} version={version} served={served} onYes={begin} onNo={end} />
      )}
      <Rollback opened={asked === 'rollback'} served={served} onYes={begin} onNo={end} />
    </div>
  )
}

function option({ version, aliases, gate }: Version): { value: string; label: string } {
  const told = [...aliases, gate ? `gate ${gate}` : 'not judged'].join(', ')
  return { value: version, label: `${version} (${told})` }
}

function WhoMay({ config }: { config: Config | undefined }) {
  if (!config) return 'Whether you may change the model is not known while the console is away.'
  if (config.key === 'open') return 'This is a local system without a key: anybody here may change the model.'
  if (config.key === 'closed') return 'Nobody may change the model until FRESHET_ADMIN_KEY is set.'
  if (config.may_administer) return null
  const type = () => document.getElementById(KEY_FIELD)?.focus()
  return (
    <>
      Only with the key:{' '}
      <Anchor component="button" type="button" size="sm" underline="always" onClick={type}>
        type it
      </Anchor>
      .
    </>
  )
}

interface AskProps {
  opened: boolean
  served: Served
  onYes: (act: Act) => void
  onNo: () => void
}

function Promotion({ opened, version, served, onYes, onNo }: AskProps & { version: Version }) {
  return (
    <Confirm
      opened={opened}
      title={`Promote version ${version.version}?`}
      steps={promoteSteps(version.version, served)}
      yes={`Promote version ${version.version}`}
      onYes={() => onYes({ kind: 'promote', version: version.version })}
      onNo={onNo}
    >
      {version.gate !== 'passed' && (
        <Notice tone="watch" title="This goes past the gate">
          {version.gate === 'refused'
            ? `The gate refused it. ${version.gate_report?.summary ?? ''}`
            : 'The gate was never asked about it.'}
        </Notice>
      )}
    </Confirm>
  )
}

function Rollback({ opened, served, onYes, onNo }: AskProps) {
  const [reason, setReason] = useState('')
  return (
    <Confirm
      opened={opened}
      title={served.canary ? `End the trial of ${named(served.canary)}?` : `Leave ${named(served)}?`}
      steps={rollbackSteps(served)}
      yes="Roll back"
      color="red.9"
      onYes={() => onYes({ kind: 'rollback', reason: reason.trim() || 'rolled back by hand' })}
      onNo={onNo}
    >
      <TextInput
        label="Reason"
        description="Stands on the version that is left, for whoever looks later."
        placeholder="rolled back by hand"
        value={reason}
        maxLength={200}
        onChange={({ currentTarget }) => setReason(currentTarget.value)}
        data-autofocus
      />
    </Confirm>
  )
}
