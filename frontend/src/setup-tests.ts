import '@testing-library/jest-dom/vitest'

// jsdom has none of these: Mantine asks for the first two, moving cards for the third.
window.matchMedia ??= (query: string) =>
  ({
    matches: false,
    media: query,
    addEventListener: () => {},
    removeEventListener: () => {},
  }) as unknown as MediaQueryList
window.ResizeObserver ??= class {
  observe() {}
  unobserve() {}
  disconnect() {}
}
Element.prototype.animate ??= () => ({ finished: Promise.resolve() }) as unknown as Animation
