import { type RefObject, useLayoutEffect, useRef } from 'react'

const MOVE = { duration: 380, easing: 'cubic-bezier(0.22, 0.8, 0.24, 1)' }

interface Place {
  left: number
  top: number
}

/**
 * Moves children to their new places instead of jumping there, and lets new ones appear.
 *
 * Children carry `data-flip`, a name of their own; `order` is anything that changes with their order. Those who want
 * less motion get none.
 */
export function useFlip(container: RefObject<HTMLElement | null>, order: string) {
  const before = useRef<{ width: number; places: Map<string, Place> } | null>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the order is what sets things in motion
  useLayoutEffect(() => {
    const root = container.current
    if (!root) return
    const children = [...root.querySelectorAll<HTMLElement>('[data-flip]')]
    const places = new Map(
      children.map((child) => [
        child.dataset.flip as string,
        { left: child.offsetLeft, top: child.offsetTop },
      ]),
    )
    const was = before.current
    before.current = { width: root.clientWidth, places }
    const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches
    if (!was || was.places.size === 0 || was.width !== root.clientWidth || still) return
    for (const child of children) move(child, was.places.get(child.dataset.flip as string), places)
  }, [container, order])
}

/**
 * Keeps the keyboard where it was: when the card that had the focus is gone, the one at its place gets it.
 *
 * Gives what the list must be told of: `onFocus` of anything within.
 */
export function useKeptFocus(container: RefObject<HTMLElement | null>, order: string) {
  const place = useRef<number | null>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the order is what takes cards away
  useLayoutEffect(() => {
    const root = container.current
    if (!root || place.current === null || document.activeElement !== document.body) return
    const children = [...root.querySelectorAll<HTMLElement>('[data-flip]')]
    const next = children[Math.min(place.current, children.length - 1)]
    next?.querySelector('button')?.focus({ preventScroll: true })
  }, [container, order])
  return {
    onFocus({ target }: { target: EventTarget }) {
      const children = [...(container.current?.querySelectorAll('[data-flip]') ?? [])]
      place.current = children.findIndex((child) => child.contains(target as Node))
    },
    onBlur({ relatedTarget }: { relatedTarget: EventTarget | null }) {
      // Without a next one it is the element itself that went away, or the person who went elsewhere by mouse.
      if (relatedTarget && !container.current?.contains(relatedTarget as Node)) place.current = null
    },
  }
}

function move(child: HTMLElement, from: Place | undefined, places: Map<string, Place>) {
  const to = places.get(child.dataset.flip as string) as Place
  if (!from) {
    child.animate(
      [
        { opacity: 0, transform: 'scale(0.92)' },
        { opacity: 1, transform: 'none' },
      ],
      MOVE,
    )
  } else if (from.left !== to.left || from.top !== to.top) {
    const shift = `translate(${from.left - to.left}px, ${from.top - to.top}px)`
    child.animate([{ transform: shift }, { transform: 'none' }], MOVE)
  }
}
