import { Alert, Button, Group, Modal, NativeSelect, PasswordInput, Text, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { body, recommender } from '@/api/client'
import type { Config } from '../config'
import { fixed } from '../numbers'
import { useModelAgain } from '../queries'
import type { Version } from './gate'
import { Steps } from './Model'
import classes from './model.module.css'
import { refusal } from './refusals'
import { named, noWayBack, promoteSteps, rollbackSteps, type Served } from './trial'

interface Props {
  served: Served
  versions: Version[]
  config: Config | undefined
  apiKey: string
  onKey: (key: string) => void
}

type Act = { kind: 'promote'; version: string } | { kind: 'rollback'; reason: string }

async function done(act: Act, apiKey: string): Promise<string> {
  const headers = apiKey ? { 'X-Api-Key': apiKey } : {}
  if (act.kind === 'promote') {
    const { version, was, took_ms } = await body(
      recommender.POST('/model/promote', { body: { version: act.version }, headers }),
    )
    const before = was ? ` It named ${was} before.` : ''
    return `The champion alias names version ${version} now (${fixed(took_ms, 0)} ms).${before} It is loaded, tried on a share of the users, and then serves everybody: watch it above.`
  }
  const { left, serves, took_ms } = await body(
    recommender.POST('/model/rollback', { body: { reason: act.reason }, headers }),
  )
  return `Version ${serves} serves again, version ${left} was left. The registry had heard after ${fixed(took_ms, 0)} ms.`
}

/** Promotion and rollback by hand, for whoever may. */
export function Administer({ served, versions, config, apiKey, onKey }: Props) {
  const again = useModelAgain()
  const [chosen, setChosen] = useState<string | null>(null)
  const [reason, setReason] = useState('')
  const [asked, setAsked] = useState<Act['kind'] | null>(null)
  const act = useMutation({ mutationFn: (what: Act) => done(what, apiKey), onSettled: again })
  const choices = versions.filter((each) => each.version !== served.registered_version)
  const version = choices.find((each) => each.version === chosen) ?? choices[0]
  const may = config?.may_administer ?? false
  const stuck = noWayBack(served)

  const begin = (what: Act) => {
    setAsked(null)
    act.mutate(what)
  }
  return (
    <div className={classes.panel}>
      <Key config={config} apiKey={apiKey} onKey={onKey} />
      <Group gap="sm" align="flex-end" className={classes.acts}>
        <NativeSelect
          label="Version to promote"
          value={version?.version ?? ''}
          onChange={(event) => setChosen(event.currentTarget.value)}
          data={choices.map(option)}
          disabled={choices.length === 0}
        />
        <Button disabled={!may || !version} loading={act.isPending} onClick={() => setAsked('promote')}>
          Promote …
        </Button>
        <Button
          variant="default"
          disabled={!may || stuck !== null}
          loading={act.isPending}
          onClick={() => setAsked('rollback')}
        >
          Roll back …
        </Button>
      </Group>
      <Text size="xs" className={classes.soft}>
        {choices.length === 0 && 'There is no other version to promote. '}
        {stuck}
      </Text>
      <div aria-live="polite">
        {act.isSuccess && (
          <Alert
            color="teal"
            variant="light"
            title="Done"
            withCloseButton
            closeButtonLabel="Close"
            onClose={act.reset}
          >
            {act.data}
          </Alert>
        )}
        {act.isError && (
          <Alert
            color="red"
            variant="light"
            title="Refused"
            withCloseButton
            closeButtonLabel="Close"
            onClose={act.reset}
          >
            {refusal(act.error)}
          </Alert>
        )}
      </div>
      {version && (
        <Confirm
          opened={asked === 'promote'}
          title={`Promote version ${version.version}?`}
          steps={promoteSteps(version.version, served)}
          yes={`Promote version ${version.version}`}
          onYes={() => begin({ kind: 'promote', version: version.version })}
          onNo={() => setAsked(null)}
        >
          {version.gate !== 'passed' && (
            <Alert color="yellow" variant="light" title="This goes past the gate">
              {version.gate === 'refused'
                ? `The gate refused it. ${version.gate_report?.summary ?? ''}`
                : 'The gate was never asked about it.'}
            </Alert>
          )}
        </Confirm>
      )}
      <Confirm
        opened={asked === 'rollback'}
        title={served.canary ? `End the trial of ${named(served.canary)}?` : `Leave ${named(served)}?`}
        steps={rollbackSteps(served)}
        yes="Roll back"
        color="red"
        onYes={() => begin({ kind: 'rollback', reason: reason.trim() || 'rolled back by hand' })}
        onNo={() => setAsked(null)}
      >
        <TextInput
          label="Reason"
          description="Stands on the version that is left, for whoever looks later."
          placeholder="rolled back by hand"
          value={reason}
          maxLength={200}
          onChange={(event) => setReason(event.currentTarget.value)}
          data-autofocus
        />
      </Confirm>
    </div>
  )
}

function option({ version, aliases, gate }: Version): { value: string; label: string } {
  const told = [...aliases, gate ? `gate ${gate}` : 'not judged'].join(', ')
  return { value: version, label: `${version} (${told})` }
}

function Key({ config, apiKey, onKey }: Pick<Props, 'config' | 'apiKey' | 'onKey'>) {
  if (!config)
    return <Text size="sm">Whether you may change the model is not known while the console is away.</Text>
  if (config.key === 'open')
    return (
      <Text size="sm">Open: this is a local system without a key, so anybody here may change the model.</Text>
    )
  if (config.key === 'closed')
    return (
      <Text size="sm">
        Closed: nobody may change the model until FRESHET_ADMIN_KEY is set on the recommender.
      </Text>
    )
  const wrong = apiKey !== '' && !config.may_administer
  return (
    <PasswordInput
      className={classes.key}
      label="Admin key"
      description="FRESHET_ADMIN_KEY. Kept in this page's memory only, gone when it is closed."
      value={apiKey}
      autoComplete="off"
      error={wrong && 'Not the right key (yet)'}
      onChange={(event) => onKey(event.currentTarget.value)}
      inputWrapperOrder={['label', 'input', 'description', 'error']}
    />
  )
}

interface ConfirmProps {
  opened: boolean
  title: string
  steps: string[]
  yes: string
  color?: string
  onYes: () => void
  onNo: () => void
  children?: React.ReactNode
}

/** Asks before an act, and says what it will do. */
function Confirm({ opened, title, steps, yes, color, onYes, onNo, children }: ConfirmProps) {
  return (
    // Locking the scroll would add a <style> element, which the page's policy forbids.
    <Modal
      opened={opened}
      onClose={onNo}
      title={title}
      lockScroll={false}
      centered
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <div className={classes.stack}>
        {children}
        <Text size="sm" fw={600}>
          What will happen
        </Text>
        <Steps steps={steps} />
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={onNo}>
            Cancel
          </Button>
          <Button color={color} onClick={onYes}>
            {yes}
          </Button>
        </Group>
      </div>
    </Modal>
  )
}
