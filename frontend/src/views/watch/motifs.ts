/** What artwork is made of: each motif fills a field of WIDTH x HEIGHT with shapes of `light` over what is there. */

export const WIDTH = 160
export const HEIGHT = 100

/** @param random from 0 to 1, the item's own stream; @param light a colour. */
export type Motif = (random: () => number, light: string) => string

const n = (value: number) => value.toFixed(1)
const times = (count: number, draw: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => draw(at)).join('')

const circle = (x: number, y: number, r: number, paint: string) =>
  `<circle cx="${n(x)}" cy="${n(y)}" r="${n(r)}" ${paint}/>`
const fill = (light: string, opacity: number) => `fill="${light}" fill-opacity="${opacity.toFixed(2)}"`
const line = (light: string, opacity: number, width: number) =>
  `fill="none" stroke="${light}" stroke-opacity="${opacity.toFixed(2)}" stroke-width="${n(width)}" stroke-linecap="round"`

export const waves: Motif = (random, light) => {
  const height = 8 + 10 * random()
  const from = 30 + 20 * random()
  return times(4, (at) => {
    const y = from + at * 16
    const swing = (at % 2 ? 1 : -1) * height
    return `<path d="M-5 ${n(y)}C30 ${n(y - swing)} 50 ${n(y + swing)} 82 ${n(y)}S135 ${n(y - swing)} 165 ${n(y)}V105H-5Z" ${fill(light, 0.13 + 0.05 * at)}/>`
  })
}

export const peaks: Motif = (random, light) =>
  circle(30 + 100 * random(), 24 + 10 * random(), 9, fill(light, 0.75)) +
  times(3, (at) => {
    const top = 30 + at * 17 + 10 * random()
    const x = 15 + 130 * random()
    return `<path d="M${n(x - 70)} 104L${n(x - 14)} ${n(top + 9)}L${n(x)} ${n(top)}L${n(x + 75)} 104Z" ${fill(light, 0.18 + 0.1 * at)}/>`
  })

export const shards: Motif = (random, light) => {
  const x = 30 + 100 * random()
  const y = 25 + 50 * random()
  const turn = random()
  return times(9, (at) => {
    const angle = (2 * Math.PI * (at + turn)) / 9
    const far = 55 + 90 * random()
    const wide = 0.06 + 0.13 * random()
    const point = (by: number) => `${n(x + far * Math.cos(angle + by))} ${n(y + far * Math.sin(angle + by))}`
    return `<path d="M${n(x)} ${n(y)}L${point(-wide)}L${point(wide)}Z" ${fill(light, 0.2 + 0.4 * random())}/>`
  })
}

export const bubbles: Motif = (random, light) =>
  times(11, () =>
    circle(160 * random(), 100 * random(), 4 + 17 * random() ** 2, fill(light, 0.15 + 0.5 * random())),
  )

export const arcs: Motif = (random, light) =>
  times(9, () => {
    const x = 12 + 136 * random()
    const y = 12 + 76 * random()
    const r = 5 + 9 * random()
    const turn = n(360 * random())
    return `<path d="M${n(x - r)} ${n(y)}A${n(r)} ${n(r)} 0 0 0 ${n(x + r)} ${n(y)}" transform="rotate(${turn} ${n(x)} ${n(y)})" ${line(light, 0.35 + 0.5 * random(), 4)}/>`
  })

export const skyline: Motif = (random, light) =>
  circle(25 + 110 * random(), 26, 11, fill(light, 0.55)) +
  times(11, (at) => {
    const tall = 22 + 52 * random()
    return `<rect x="${n(at * 15 - 2)}" y="${n(100 - tall)}" width="${n(11 + 5 * random())}" height="${n(tall)}" ${fill(light, 0.16 + 0.24 * random())}/>`
  })

export const strata: Motif = (random, light) => {
  const lean = 12 * (random() - 0.5)
  return times(10, (at) => {
    const y = 8 + at * 10
    return `<path d="M${n(10 + 30 * random())} ${n(y - lean)}L${n(95 + 55 * random())} ${n(y + lean)}" ${line(light, 0.25 + 0.5 * random(), 2 + 3 * random())}/>`
  })
}

export const moon: Motif = (random, light) => {
  const x = 45 + 70 * random()
  const y = 42 + 14 * random()
  const lean = random() < 0.5 ? 1 : -1
  return (
    `<path d="M${n(x)} ${n(y - 24)}A24 24 0 1 ${lean > 0 ? 1 : 0} ${n(x)} ${n(y + 24)}A${n(19 + 4 * random())} 27 0 0 ${lean > 0 ? 0 : 1} ${n(x)} ${n(y - 24)}Z" ${fill(light, 0.7)}/>` +
    times(16, () =>
      circle(160 * random(), 100 * random(), 0.7 + 1.4 * random(), fill(light, 0.4 + 0.5 * random())),
    )
  )
}

export const blinds: Motif = (random, light) => {
  const lean = -18 + 36 * random()
  const x = 20 + 40 * random()
  return times(7, (at) => {
    const y = 6 + at * 14
    return `<path d="M${n(x)} ${n(y)}L${n(x + 85)} ${n(y + lean * 0.4)}V${n(y + lean * 0.4 + 6)}L${n(x)} ${n(y + 6)}Z" ${fill(light, 0.62 - 0.06 * at)}/>`
  })
}

export const thorns: Motif = (random, light) =>
  times(12, (at) => {
    const x = at * 14 - 4
    const long = 20 + 38 * random()
    return at % 2
      ? `<path d="M${n(x - 6)} -2L${n(x + 3 * random())} ${n(long)}L${n(x + 7)} -2Z" ${fill(light, 0.45)}/>`
      : `<path d="M${n(x - 7)} 102L${n(x + 3 * random())} ${n(100 - long)}L${n(x + 7)} 102Z" ${fill(light, 0.28)}/>`
  })

export const bars: Motif = (random, light) =>
  times(14, (at) => {
    const tall = 8 + 34 * random() * (0.5 + 0.5 * Math.sin((at / 13) * Math.PI))
    return `<path d="M${n(15 + at * 10)} ${n(50 - tall)}V${n(50 + tall)}" ${line(light, 0.4 + 0.4 * random(), 4.5)}/>`
  })

export const rings: Motif = (random, light) => {
  const x = 50 + 60 * random()
  const y = 35 + 30 * random()
  return (
    times(6, (at) => circle(x, y, 6 + at * 13, line(light, 0.7 - 0.09 * at, 2.5 + 2 * random()))) +
    circle(x, y, 3, fill(light, 0.9))
  )
}

export const petals: Motif = (random, light) => {
  const x = 55 + 50 * random()
  const y = 45 + 10 * random()
  const count = 6 + Math.floor(4 * random())
  const turn = 90 * random()
  return (
    times(
      count,
      (at) =>
        `<ellipse cx="${n(x)}" cy="${n(y - 22)}" rx="11" ry="22" transform="rotate(${n(turn + (360 / count) * at)} ${n(x)} ${n(y)})" ${fill(light, 0.26)}/>`,
    ) + circle(x, y, 6, fill(light, 0.85))
  )
}

export const orbits: Motif = (random, light) => {
  const x = 55 + 50 * random()
  const y = 44 + 12 * random()
  const tilt = n(-35 + 30 * random())
  return (
    circle(x, y, 15 + 5 * random(), fill(light, 0.6)) +
    times(3, (at) => {
      const rx = 34 + at * 20
      const angle = 2 * Math.PI * random()
      const ry = rx * 0.32
      return `<g transform="rotate(${tilt} ${n(x)} ${n(y)})"><ellipse cx="${n(x)}" cy="${n(y)}" rx="${n(rx)}" ry="${n(ry)}" ${line(light, 0.45, 1.3)}/>${circle(x + rx * Math.cos(angle), y + ry * Math.sin(angle), 2.2 + 2 * random(), fill(light, 0.95))}</g>`
    })
  )
}

export const tunnel: Motif = (random, light) => {
  const x = 60 + 40 * random()
  const y = 40 + 20 * random()
  const turn = 12 * (random() - 0.5)
  return times(7, (at) => {
    const half = 7 + at * 12
    return `<rect x="${n(x - half * 1.3)}" y="${n(y - half)}" width="${n(half * 2.6)}" height="${n(half * 2)}" transform="rotate(${n(turn * at)} ${n(x)} ${n(y)})" ${line(light, 0.75 - 0.08 * at, 2)}/>`
  })
}

export const chevrons: Motif = (random, light) => {
  const x = 40 + 80 * random()
  return times(5, (at) => {
    const y = 12 + at * 17
    return `<path d="M${n(x - 34)} ${n(y + 20)}L${n(x)} ${n(y)}L${n(x + 34)} ${n(y + 20)}" ${line(light, 0.7 - 0.1 * at, 5 + 3 * random())}/>`
  })
}

export const mesa: Motif = (random, light) => {
  const x = 35 + 90 * random()
  const left = 90 * random()
  return (
    circle(x, 58, 24, fill(light, 0.7)) +
    `<path d="M${n(left - 30)} 104L${n(left - 12)} 62H${n(left + 28)}L${n(left + 48)} 104Z" ${fill('#000', 0.28)}/>` +
    `<path d="M-5 86Q40 ${n(76 + 8 * random())} 80 86T165 84V105H-5Z" ${fill('#000', 0.35)}/>`
  )
}
