/** An act by hand on the served model: a promotion or a rollback. */
import { useMutation } from '@tanstack/react-query'
import { body, recommender } from '@/api/client'
import { fixed } from '../numbers'
import { useModelAgain } from '../queries'

export type Act = { kind: 'promote'; version: string } | { kind: 'rollback'; reason: string }

/** Gives the mutation; its data are what came of it, in words. */
export function useAct() {
  const again = useModelAgain()
  return useMutation({ mutationFn: (act: Act) => done(act), onSettled: again })
}

async function done(act: Act): Promise<string> {
  if (act.kind === 'promote') {
    const { version, was, took_ms } = await body(
      recommender.POST('/model/promote', { body: { version: act.version } }),
    )
    const before = was ? ` It named ${was} before.` : ''
    return `The champion alias names version ${version} now (${fixed(took_ms, 0)} ms).${before} What is on trial and what serves stands above.`
  }
  const { left, serves, took_ms } = await body(
    recommender.POST('/model/rollback', { body: { reason: act.reason } }),
  )
  return `Version ${serves} serves again, version ${left} was left. The registry had heard after ${fixed(took_ms, 0)} ms.`
}
