import type { Command } from './command.js'

/** Formats the help of a command. */
export function helpOf(name: string, { about, argument, flags, example, exitCodes }: Command): string {
  const rows = Object.entries(flags).map(([flag, { value, required, help }]) => {
    return { usage: `--${flag}${value === undefined ? '' : ` ${value.name}`}`, required, help }
  })
  const indent = Math.max(...rows.map(({ usage }) => usage.length)) + 4
  const required = rows.filter((row) => row.required).map(({ usage }) => usage)
  const flagLines = rows.map(({ usage, help }) => `  ${usage.padEnd(indent - 2)}${wrap(help, indent)}`)
  const sections = [
    `Usage: ${['countersign', name, ...required, ...(rows.length > 0 ? ['[flags]'] : []), argument.name].join(' ')}`,
    wrap(about),
    ...(rows.length > 0 ? [flagLines.join('\n')] : []),
    `Example:\n  ${example}`,
    wrap(`Exit codes: ${exitCodes}`),
  ]
  return `${sections.join('\n\n')}\n`
}

/** The greatest length of a line. */
const WIDTH = 100

/** Breaks long lines between words, and indents the new ones. */
function wrap(text: string, indent = 0): string {
  const width = WIDTH - indent
  return text.replace(new RegExp(`(?=.{${width + 1}})(.{1,${width}}) `, 'g'), `$1\n${' '.repeat(indent)}`)
}
