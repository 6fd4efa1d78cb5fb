import { type ComponentType, type LazyExoticComponent, lazy } from 'react'

export interface View {
  path: string
  /** Paths below `path` that show the same view. */
  pattern: string
  label: string
  title: string
  Component: LazyExoticComponent<ComponentType>
}

/** The views in the order of the navigation; each comes with its own chunk of script. */
export const VIEWS: View[] = [
  {
    path: '/',
    pattern: '/',
    label: 'Watch',
    title: 'Watch it learn',
    Component: lazy(() => import('@/views/watch')),
  },
  {
    path: '/inspect',
    pattern: '/inspect/*?',
    label: 'Inspect',
    title: 'Feature inspector',
    Component: lazy(() => import('@/views/inspect')),
  },
  {
    path: '/control',
    pattern: '/control',
    label: 'Control',
    title: 'Control room',
    Component: lazy(() => import('@/views/control')),
  },
  {
    path: '/playground',
    pattern: '/playground',
    label: 'Play',
    title: 'Playground',
    Component: lazy(() => import('@/views/playground')),
  },
]

/** The view at an address; none at one where nothing lives. */
export function viewAt(location: string): View | undefined {
  return VIEWS.find(({ path }) => location === path || (path !== '/' && location.startsWith(`${path}/`)))
}
