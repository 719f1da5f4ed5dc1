# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of `twobeat` for bash: commands, options, periods, and the names of hosts, which twobeat itself tells.

# Prints the first column of what twobeat lists of the record that the words of the line name; nothing if it cannot be read.
_twobeat_list() {
    local i first data=()
    for ((i = 1; i + 1 < ${#COMP_WORDS[@]}; i++)); do
        [[ ${COMP_WORDS[i]} == --data ]] && data=(--data "${COMP_WORDS[i + 1]/#\~\//$HOME/}")
    done
    twobeat "$@" "${data[@]}" 2>/dev/null </dev/null | while IFS=$'\t' read -r first _; do
        # The first line holds the headings, which are in capitals as no host and no id is.
        [[ $first == [a-z0-9]* ]] && echo "$first"
    done
}

_twobeat_hosts() {
    _twobeat_list host list
}

_twobeat_maintenance() {
    _twobeat_list maintenance list
}

# Prints this month and the eleven before.
_twobeat_months() {
    local now year month i
    printf -v now '%(%Y %m)T' -1
    year=${now% *} month=$((10#${now#* }))
    for ((i = 0; i < 12; i++)); do
        printf '%d-%02d\n' "$year" "$month"
        ((--month)) || { month=12 && ((year--)); }
    done
}

# The last words of commands that begin with another one.
_twobeat_second_words() {
    case $1 in
        key) echo site host view ;;
        maintenance) echo start end plan list cancel ;;
        host) echo list forget rename ;;
    esac
}

_twobeat_options() {
    local period='--days --month --from --to'
    case $1 in
        status) echo --watch ;;
        uptime) echo "$period --mean" ;;
        outages) echo "$period --csv" ;;
        'outages relabel') echo --as --reason ;;
        cut) echo --to ;;
        graph) echo --what --period --output --print-command ;;
        'maintenance start') echo --for --until --reason ;;
        'maintenance plan') echo --from --to --reason ;;
        'maintenance list') echo --all ;;
        'key site') echo --output ;;
        'key host') echo --site-key --generation --output ;;
        'key view') echo --site-key --output ;;
    esac
    echo --data --json --help
}

# The values of an option, or of a command's arguments. Sets COMPREPLY; 1 if the word is not a value of `option`.
_twobeat_value() {
    local option=$1 current=$2 words=
    case $option in
        --data) mapfile -t COMPREPLY < <(compgen -d -- "$current") && return ;;
        --output | -o | --site-key) mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
        --month) words=$(_twobeat_months) ;;
        --period) words="day week month year $(_twobeat_months)" ;;
        --days) words='1 7 30 90 365' ;;
        --from | --to | --until) words=$(printf '%(%Y-%m-%d)T' -1) ;;
        --for) words='30m 1h 2h 4h 1d 7d' ;;
        --mean) words='hosts seconds' ;;
        --as) words='up down admin unknown' ;;
        --what) words=state ;;
        --generation) words='1 2 3' ;;
        --reason) ;;
        *) return 1 ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

_twobeat() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' group='' i word words
    COMPREPLY=()
    _twobeat_value "$previous" "$current" && return
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == --data ]]; then
            ((i++))
        elif [[ $word != -* && -z $command ]]; then
            command=$group${group:+ }$word
            [[ -z $group && -n $(_twobeat_second_words "$word") ]] && group=$word command=
        elif [[ $command == outages && $word == relabel ]]; then
            command='outages relabel' # a command as well as the first word of one
        fi
    done
    if [[ $current == -* ]]; then
        words=$(_twobeat_options "$command")
    elif [[ -z $command && -n $group ]]; then
        words=$(_twobeat_second_words "$group")
    elif [[ -z $command ]]; then
        words='check copy cut flush graph host key maintenance outages rebuild status uptime verify'
    else
        case $command in
            cut | key* | 'host list' | 'maintenance list') ;;
            copy) mapfile -t COMPREPLY < <(compgen -d -- "$current") && return ;;
            'maintenance cancel') words=$(_twobeat_maintenance) ;;
            'outages relabel') words=$(_twobeat_list outages) ;;
            outages) words="relabel $(_twobeat_hosts)" ;;
            *) words=$(_twobeat_hosts) ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _twobeat twobeat
