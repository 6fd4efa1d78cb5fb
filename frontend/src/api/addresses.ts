/** Where the recommender is for others than this page: for commands that people copy. */
import { useQuery } from '@tanstack/react-query'
import { vitalsOptions } from './hooks'
import { useKey } from './key'

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/**
 * The recommender's address, without a slash at the end.
 *
 * On the machine where everything runs it is the service's own; from elsewhere that name need not lead anywhere, so it
 * is the way through this page's server, which always does.
 *
 * @param metricsUrl where the console reads the recommender's metrics; absent while that is not known.
 */
export function recommenderAddress(page: Location | URL, metricsUrl: string | undefined): string {
  const through = `${page.origin}/api/recommender`
  if (!metricsUrl) return through
  const own = new URL(metricsUrl)
  return LOOPBACK.test(page.hostname) && LOOPBACK.test(own.hostname) ? own.origin : through
}

/** The recommender's address, as the console knows it. */
export function useRecommenderAddress(): string {
  const { data } = useQuery({
    ...vitalsOptions(useKey().turn),
    staleTime: Number.POSITIVE_INFINITY,
    select: (vitals) => vitals.current.targets.recommender?.url,
  })
  return recommenderAddress(window.location, data)
}
