/** A picture for every item, from nothing but its id and its categories. */
import * as motifs from './motifs'
import { HEIGHT, type Motif, WIDTH } from './motifs'
import { hash, stream } from './random'

interface Style {
  /** Degrees round the colour wheel. */
  hue: number
  motif: Motif
  /** How strong the colour is, in percent. */
  strength?: number
}

const STYLES: Record<string, Style> = {
  action: { hue: 14, motif: motifs.shards },
  adventure: { hue: 158, motif: motifs.peaks },
  animation: { hue: 322, motif: motifs.bubbles },
  "children's": { hue: 42, motif: motifs.bubbles },
  comedy: { hue: 34, motif: motifs.arcs },
  crime: { hue: 224, motif: motifs.skyline, strength: 30 },
  documentary: { hue: 88, motif: motifs.strata, strength: 28 },
  drama: { hue: 206, motif: motifs.waves },
  fantasy: { hue: 274, motif: motifs.moon },
  'film-noir': { hue: 220, motif: motifs.blinds, strength: 8 },
  horror: { hue: 352, motif: motifs.thorns },
  musical: { hue: 298, motif: motifs.bars },
  mystery: { hue: 250, motif: motifs.rings, strength: 34 },
  romance: { hue: 340, motif: motifs.petals },
  'sci-fi': { hue: 190, motif: motifs.orbits },
  thriller: { hue: 4, motif: motifs.tunnel, strength: 30 },
  war: { hue: 66, motif: motifs.chevrons, strength: 26 },
  western: { hue: 24, motif: motifs.mesa },
}

const ANY: Motif[] = Object.values(motifs).filter((motif) => typeof motif === 'function')

/** The style of a category: a known one's own; of any other always the same one. */
export function styleOf(category: string): Style {
  const known = STYLES[category.toLowerCase()]
  if (known) return known
  const seed = hash(category)
  return { hue: seed % 360, motif: ANY[(seed >>> 9) % ANY.length] as Motif }
}

/**
 * An SVG document, WIDTH x HEIGHT, without text.
 *
 * The first category gives motif and colour, the second the colour that it runs into; the id gives everything else, so
 * that neighbours of one kind are of one family and still not alike.
 */
export function artwork(itemId: string, categories: readonly string[]): string {
  const random = stream(hash(`${itemId}/${categories.join('/')}`))
  const first = styleOf(categories[0] ?? itemId)
  const second = styleOf(categories[1] ?? categories[0] ?? itemId)
  const hue = first.hue + 16 * (random() - 0.5)
  const other = categories[1] ? second.hue : hue + 34
  const strength = first.strength ?? 52
  const far = n2(20 + 60 * random())
  const light = `hsl(${n2(other)} ${Math.min(strength + 26, 80)}% 84%)`
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="xMidYMid slice">` +
    `<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1">` +
    `<stop offset="0" stop-color="hsl(${n2(hue)} ${strength}% 22%)"/>` +
    `<stop offset="1" stop-color="hsl(${n2(other)} ${strength}% 44%)"/></linearGradient>` +
    `<radialGradient id="s" cx="${far}%" cy="10%" r="90%"><stop offset="0" stop-color="${light}" stop-opacity=".28"/>` +
    `<stop offset="1" stop-color="${light}" stop-opacity="0"/></radialGradient></defs>` +
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="url(#g)"/><rect width="${WIDTH}" height="${HEIGHT}" fill="url(#s)"/>` +
    `${first.motif(random, light)}</svg>`
  )
}

/** The same as an address for an <img>. */
export function artworkUrl(itemId: string, categories: readonly string[]): string {
  return `data:image/svg+xml,${encodeURIComponent(artwork(itemId, categories))}`
}

function n2(value: number): string {
  return (((value % 360) + 360) % 360).toFixed(0)
}
