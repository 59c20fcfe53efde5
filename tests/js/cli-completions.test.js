// The completions, in each shell itself.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { countersign } from './support/cli.js'

const folder = await mkdtemp(join(tmpdir(), 'countersign-completions-'))
after(() => rm(folder, { recursive: true }))
for (const name of ['keys.json', 'key set.json', 'other.txt']) await writeFile(join(folder, name), '')
await mkdir(join(folder, 'keys'))

const FILES = ['keys.json', 'key set.json', 'keys']
const COMMANDS = ['verify', 'explain', 'lint', 'completions']
/** The words after `countersign`, and the completions of the last one. */
const lines = [
  [[''], COMMANDS],
  [['ver'], ['verify']],
  [['--'], ['--help', '--version']],
  [['verify', '--cl'], ['--claim', '--clock-tolerance']],
  [['verify', '--type', ''], ['at+jwt', 'JWT', 'null']],
  [['verify', '--type', 'J'], ['JWT']],
  [['verify', '--jwks', 'key'], FILES],
  [['verify', '--jwks=key'], FILES],
  [['verify', '--issuer', ''], []],
  [['verify', '--now', 'key'], []],
  [['verify', '--json', '--req'], ['--required-claim']],
  [['lint', 'key'], FILES],
  [['lint', '--json', 'key'], FILES],
  [['explain', 'key'], []],
  [['completions', ''], ['bash', 'zsh', 'fish']],
  [['completions', 'z'], ['zsh']],
]
for (const name of ['verify', 'explain', 'lint']) {
  const { [name]: command } = await import(`../../pkg/dist/cli/${name}.js`)
  lines.push([[name, '--'], [...Object.keys(command.flags), 'help'].map((flag) => `--${flag}`)])
}

/** The program of each shell that prints the completions of each line, separated by `|`. */
const SCRIPTS = {
  bash: `
source ./completions
show() { COMP_WORDS=(countersign "$@"); COMP_CWORD=$#; COMPREPLY=(); _countersign; printf '%s|' "\${COMPREPLY[@]}"; echo; }
${lines.map(([words]) => `show ${words.map((word) => `'${word.replace('=', "' = '")}'`).join(' ')}`).join('\n')}`,

  // In a terminal of its own. All completions are put into the line, which the function then prints.
  zsh: `
zmodload zsh/zpty
zpty terminal zsh -f -i
zpty -w terminal 'PROMPT= RPROMPT=; unsetopt prompt_sp beep list_beep; autoload -Uz compinit; compinit -D -u; source ./completions'
zpty -w terminal "zstyle ':completion:*' completer _all_matches _complete; zstyle ':completion:*' insert true"
zpty -w terminal 'countersign() { print -r -- "<<\${(j:|:)@}>>" }; print READ"Y"'
zpty -r terminal output '*READY*'
for line in ${lines.map(([words]) => `'${words.join(' ')}'`).join(' ')}; do
  zpty -w -n terminal "countersign $line"$'\\t\\n'
  zpty -r terminal output '*<<*>>*'
  print -r -- "\${\${output##*<<}%%>>*}"
done`,

  fish: `
source ./completions
${lines.map(([words]) => `echo (complete -C 'countersign ${words.join(' ')}' | string replace -r '\\t.*' '' | string join '|')`).join('\n')}`,
}

/**
 * Returns the completions, without the flags that some shells offer beside others. Zsh repeats the words before them, and zsh
 * and fish repeat the flag before an equals sign.
 */
function completionsIn(output, shell, words) {
  const found = output.split('|').slice(shell === 'zsh' ? words.length - 1 : 0)
  const last = words.at(-1)
  const texts = found.map((text) => text.replace(/^--jwks=/, '').replace(/\/$/, ''))
  return texts.filter((text) => text !== '' && text !== last && (last.startsWith('-') || !text.startsWith('-')))
}

for (const [shell, script] of Object.entries(SCRIPTS)) {
  test(`${shell} completes commands, flags, words and files`, async () => {
    await writeFile(join(folder, 'completions'), (await countersign(['completions', shell])).stdout)
    const { stdout } = await promisify(execFile)(shell, [...(shell === 'bash' ? ['--norc'] : []), '-c', script], { cwd: folder, env: { PATH: process.env.PATH, HOME: folder }, timeout: 30_000 })
    await rm(join(folder, 'completions'))
    const outputs = stdout.split('\n').slice(0, -1)
    assert.equal(outputs.length, lines.length, stdout)
    for (const [index, [words, expected]] of lines.entries()) {
      const found = completionsIn(outputs[index], shell, words)
      assert.deepEqual(found.sort(), [...expected].sort(), words.join(' '))
    }
  })
}
