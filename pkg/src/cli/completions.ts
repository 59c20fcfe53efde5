import type { Command, Flag, Value } from './command.js'
import { quote } from './show.js'
import { out } from './terminal.js'
import { UsageError } from './usage-error.js'

type Commands = Readonly<Record<string, Command>>

/** Makes the command that prints the completions of all commands, itself included. */
export function completionsOf(commands: () => Commands): Command {
  return {
    summary: 'print the completions for a shell',
    about: `Prints a script that completes commands, flags, files and known values. Add the line for your shell:

  ~/.bashrc                   eval "$(countersign completions bash)"
  ~/.zshrc, after compinit    eval "$(countersign completions zsh)"
  ~/.config/fish/config.fish  countersign completions fish | source`,
    argument: { name: 'bash|zsh|fish', complete: Object.keys(SCRIPTS) },
    flags: {},
    example: 'eval "$(countersign completions bash)"',
    exitCodes: '0 success; 2 usage error.',

    async run({ positionals: [shell = '', ...others] }) {
      const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined
      if (script === undefined || others.length > 0) throw new UsageError(`expected the name of a shell: ${Object.keys(SCRIPTS).join(', ')}`)
      out.write(script(commands()))
      return 0
    },
  }
}

const SCRIPTS: Readonly<Record<string, (commands: Commands) => string>> = { bash, zsh, fish }

const HELP: Flag = { help: 'print the help' }
const VERSION: Flag = { help: 'print the version' }

/** The flags that stand without a command. */
const ALONE = Object.entries({ help: HELP, version: VERSION })

function flagsOf({ flags }: Command): [string, Flag][] {
  return Object.entries({ ...flags, help: HELP })
}

function wordsOf({ complete }: Value): string {
  return typeof complete === 'object' ? complete.join(' ') : ''
}

/** Returns the part of the help that fits beside a completion. */
function briefly({ help }: Flag): string {
  return help.replace(/[;:] .*/, '')
}

function bash(commands: Commands): string {
  const cases = Object.entries(commands).map(([name, command]) => {
    const flags = flagsOf(command)
    const values = flags.flatMap(([flag, { value }]) => (value === undefined ? [] : [`        --${flag}) ${bashAction(value)} ;;\n`]))
    const names = flags.map(([flag]) => `--${flag} `).join('')
    return `      ${name}) case $previous in
${values.join('')}        *) ${bashAction(command.argument, names)} ;;
      esac ;;
`
  })
  return `_countersign() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words= files=
  # Bash splits --name=value at the equals sign.
  if [[ $word == = ]]; then word=; elif [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  if (( COMP_CWORD == 1 )); then
    words=${quote([...Object.keys(commands), ...ALONE.map(([flag]) => `--${flag}`)].join(' '))}
  else
    case \${COMP_WORDS[1]} in
${cases.join('')}    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [[ $files ]]; then
    # Bash 3 lacks compopt.
    compopt -o filenames 2>/dev/null
    local IFS=$'\\n'
    COMPREPLY+=($(compgen -f -- "$word"))
  fi
}
complete -F _countersign countersign
`
}

/** Offers these words, and the completions of a value. */
function bashAction(value: Value, words = ''): string {
  return `words=${quote(words + wordsOf(value))}${value.complete === 'files' ? ' files=yes' : ''}`
}

function zsh(commands: Commands): string {
  const first = Object.entries(commands).map(([name, { summary }]) => `      ${quote(`${name}:${summary}`)}\n`)
  const cases = Object.entries(commands).map(([name, command]) => {
    const specs = [...flagsOf(command).map(zshFlag), `1${zshAction(command.argument)}`]
    return `    ${name}) _arguments ${specs.map((spec) => `\\\n      ${quote(spec)}`).join(' ')} ;;\n`
  })
  return `#compdef countersign
_countersign() {
  if (( CURRENT == 2 )); then
    local -a commands=(
${first.join('')}    )
    _describe command commands
    _arguments ${ALONE.map((flag) => quote(zshFlag(flag))).join(' ')}
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${cases.join('')}  esac
}
# In a file of fpath, this text is the body of the function.
if [[ $funcstack[1] == _countersign ]]; then _countersign "$@"; else compdef _countersign countersign; fi
`
}

function zshFlag([name, flag]: [string, Flag]): string {
  const { value, multiple } = flag
  return `${multiple ? '*' : ''}--${name}${value ? '=' : ''}[${briefly(flag)}]${value ? zshAction(value) : ''}`
}

function zshAction(value: Value): string {
  return `:${value.name}:${value.complete === 'files' ? '_files' : `(${wordsOf(value)})`}`
}

function fish(commands: Commands): string {
  const add = (condition: string, rest: string) => `complete -c countersign -n ${quote(condition)}${rest}\n`
  const first = '__fish_use_subcommand'
  const lines = Object.entries(commands).flatMap(([name, command]) => {
    const after = `__fish_seen_subcommand_from ${name}`
    return [
      add(first, ` -a ${name} -d ${quote(command.summary)}`),
      ...flagsOf(command).map((flag) => add(after, fishFlag(flag))),
      add(after, fishAction(command.argument)),
    ]
  })
  return ['complete -c countersign -f\n', ...lines, ...ALONE.map((flag) => add(first, fishFlag(flag)))].join('')
}

function fishFlag([name, flag]: [string, Flag]): string {
  return ` -l ${name} -d ${quote(briefly(flag))}${flag.value ? ` -r${fishAction(flag.value)}` : ''}`
}

function fishAction(value: Value): string {
  return value.complete === 'files' ? ' -F' : ` -f -a ${quote(wordsOf(value))}`
}
