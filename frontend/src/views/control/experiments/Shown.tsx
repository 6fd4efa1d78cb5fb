import { Badge, Group, Text, Title } from '@mantine/core'
import { useId } from 'react'
import { Ago } from '@/parts/Ago'
import { Command } from '@/parts/Command'
import shared from '../control.module.css'
import { Notice } from '../Notice'
import classes from './experiments.module.css'
import { Intervals } from './Intervals'
import { type Experiment, METRICS, outcome } from './words'

/** One experiment: what it asks, what is decided, and its variants on one scale. */
export function Shown({ experiment }: { experiment: Experiment }) {
  const id = useId()
  const runs = experiment.state === 'running'
  return (
    <article className={shared.box} aria-labelledby={id}>
      <Group gap="xs">
        <Title order={3} size="h4" id={id}>
          {experiment.name}
        </Title>
        <Badge variant={runs ? 'filled' : 'outline'} tt="none" radius="sm">
          {experiment.state}
        </Badge>
        <Text size="sm" component="div" className={shared.soft}>
          since <Ago at={experiment.started_at} />
          {experiment.ended_at && (
            <>
              , ended <Ago at={experiment.ended_at} />
            </>
          )}
        </Text>
      </Group>
      {experiment.description && <Text size="sm">{experiment.description}</Text>}
      <Text mt="xs" fw={600}>
        {outcome(experiment)}
      </Text>
      <Text size="sm" className={shared.soft}>
        Counted: {METRICS[experiment.metric]}.
      </Text>
      {experiment.waits_for.length > 0 && (
        <Notice tone="watch" title="Nobody is in it yet">
          It waits for a model: {experiment.waits_for.join(', ')}.
        </Notice>
      )}
      <Intervals experiment={experiment} />
      {runs && (
        <details className={`${shared.details} ${classes.end}`}>
          <summary>End it</summary>
          <Command
            text={`source .local/env\npython -m flows.experiments end ${experiment.name}`}
            label={`Command that ends ${experiment.name}`}
          />
        </details>
      )}
    </article>
  )
}
