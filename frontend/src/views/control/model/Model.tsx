import { Asked } from '../Asked'
import shared from '../control.module.css'
import { Notice } from '../Notice'
import { useServed, useVersions } from '../queries'
import { Section } from '../Section'
import { Start } from '../Start'
import { Administer } from './Administer'
import { Compare } from './Compare'
import { History } from './History'
import { Serving } from './Serving'

/** Which model serves, how it came to that, and the way forward and back. */
export function Model() {
  const served = useServed()
  const versions = useVersions(Boolean(served.data?.canary))
  return (
    <Section title="Model" lead="What serves, what is on trial, and every version's way through the gate.">
      <div className={shared.stack}>
        <Asked query={served} what="the served model" height={150}>
          {(model) => (
            <>
              <Serving served={model} />
              <Administer served={model} versions={versions.data?.versions ?? []} />
            </>
          )}
        </Asked>
        <Asked query={versions} what="the versions" height={260}>
          {({ versions: all, trouble }) => (
            <>
              {trouble && (
                <Notice tone="watch" title="The registry is not read anew">
                  {trouble}
                </Notice>
              )}
              {all.length > 0 && <Compare versions={all} />}
              {all.length > 0 && <History versions={all} />}
              {all.length === 0 && !trouble && <None />}
            </>
          )}
        </Asked>
      </div>
    </Section>
  )
}

function None() {
  return (
    <Start title="No version is registered yet" command="make train" label="Command that trains a model">
      Until one is, lists are popular items. A training takes some two minutes:
    </Start>
  )
}
