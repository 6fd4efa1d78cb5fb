/** Numbers as the control room writes them. */

/** With so many decimals, thousands set apart, and a true minus sign. */
export function fixed(value: number, decimals: number): string {
  return new Intl.NumberFormat('en', { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
    .format(value)
    .replace('-', '−')
}

/** Three figures or so: 1,234, 12.3, 0.42. */
export function short(value: number): string {
  const size = Math.abs(value)
  if (size >= 100 || Number.isInteger(value)) return fixed(value, 0)
  return fixed(value, size >= 10 ? 1 : 2)
}

/** A share as per cent. */
export function percent(share: number, decimals = 1): string {
  return `${fixed(share * 100, decimals)} %`
}

/** A difference of shares in percentage points, with its sign. */
export function points(difference: number): string {
  const text = fixed(difference * 100, 1)
  return difference > 0 && text !== '0.0' ? `+${text}` : text.replace(/^−0\.0$/, '0.0')
}
