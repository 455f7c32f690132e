/*
 * Each script asks `hypr __complete WORD... ` for what may stand in place of the last word: lines of `value<TAB>text`, and at the end one
 * of `:files`, `:folders`, `:none`, what of this host's paths may stand there, too.
 */

const BASH = `# hypr completion for bash: put this into ~/.bashrc:  source <(hypr completion bash)
_hypr() {
  local line rest="" value words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  # "a:b" and "--a=b" are three words for bash and one for hypr.
  local joined=() word
  for word in "\${words[@]}"; do
    if [[ \${#joined[@]} -gt 0 && ( "$word" == [:=] || "\${joined[-1]}" == *[:=] ) && "\${joined[-1]}" != "" ]]; then
      joined[-1]+="$word"
    else
      joined+=("$word")
    fi
  done
  local current="\${joined[-1]}" cut=""
  case "$current" in *[:=]*) cut="\${current%[:=]*}"; cut="\${current:0:\${#cut}+1}" ;; esac
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      :*) rest="$line" ;;
      *) value="\${line%%$'\\t'*}"
         if [[ "$value" == "$current"* ]]; then COMPREPLY+=("\${value#"$cut"}"); fi ;;
    esac
  done < <("\${COMP_WORDS[0]}" __complete -- "\${joined[@]}" 2>/dev/null)
  case "$rest" in
    :files) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "\${current#"$cut"}")) ;;
    :folders) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- "\${current#"$cut"}")) ;;
  esac
}
complete -F _hypr hypr
`;

const ZSH = `#compdef hypr
# hypr completion for zsh: put this into ~/.zshrc, after compinit:  source <(hypr completion zsh)
_hypr() {
  local line rest value text
  local -a found
  while IFS= read -r line; do
    case "$line" in
      :*) rest="$line" ;;
      *) value="\${line%%$'\\t'*}"; text="\${line#*$'\\t'}"
         value="\${value//:/\\\\:}"
         if [[ -n "$text" ]]; then found+=("$value:$text"); else found+=("$value"); fi ;;
    esac
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe -t values hypr found; fi
  case "$rest" in
    :files) _files ;;
    :folders) _files -/ ;;
  esac
}
if [[ "\${funcstack[1]}" == _hypr ]]; then _hypr "$@"; else compdef _hypr hypr; fi
`;

const FISH = `# hypr completion for fish: hypr completion fish > ~/.config/fish/completions/hypr.fish
function __hypr_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l rest
  for line in (hypr __complete -- $words[2..-1] 2>/dev/null)
    switch $line
      case ':*'
        set rest $line
      case '*'
        echo $line
    end
  end
  switch "$rest"
    case ':files'
      __fish_complete_path (commandline -ct)
    case ':folders'
      __fish_complete_directories (commandline -ct) ''
  end
end
complete -c hypr -f -a '(__hypr_complete)'
`;

const POWERSHELL = `# hypr completion for PowerShell: put this into $PROFILE:  hypr completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName hypr -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition -or $_.Extent.Text -ne $wordToComplete } | Select-Object -Skip 1 | ForEach-Object { $_.Extent.Text })
  $words += $wordToComplete
  $rest = ''
  hypr __complete -- @words 2>$null | ForEach-Object {
    if ($_.StartsWith(':')) { $rest = $_; return }
    $value, $text = $_ -split "\`t", 2
    if ($value.StartsWith($wordToComplete)) {
      [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $(if ($text) { $text } else { $value }))
    }
  }
  if ($rest -eq ':files' -or $rest -eq ':folders') {
    Get-ChildItem -Path "$wordToComplete*" -Directory:($rest -eq ':folders') | ForEach-Object { $_.Name }
  }
}
`;

/** The shells, and what each of them runs to complete the words of hypr. */
export const COMPLETION_SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH, powershell: POWERSHELL };
