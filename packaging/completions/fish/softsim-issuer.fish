# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_softsim_issuer_global_optspecs
    string join \n h/help V/version
end

function __fish_softsim_issuer_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_softsim_issuer_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_softsim_issuer_using_subcommand
    set -l cmd (__fish_softsim_issuer_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c softsim-issuer -n "__fish_softsim_issuer_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c softsim-issuer -n "__fish_softsim_issuer_needs_command" -s V -l version -d 'Print version'
complete -c softsim-issuer -n "__fish_softsim_issuer_needs_command" -f -a "keygen" -d 'Generate the operator\'s signing key (mode 0600) and the public key that devices trust'
complete -c softsim-issuer -n "__fish_softsim_issuer_needs_command" -f -a "seal" -d 'Seal a profile for the device that signed a sealing statement'
complete -c softsim-issuer -n "__fish_softsim_issuer_needs_command" -f -a "command" -d 'Sign a command for a device. It travels like a sealed profile, and applies only to profiles that this operator installed'
complete -c softsim-issuer -n "__fish_softsim_issuer_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand keygen" -l out -d 'A directory for issuer.pem and issuer.pub.pem, or the file for the private key. Nothing is overwritten' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand keygen" -l json -d 'Print JSON: the result, or one object on standard error if it fails'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand keygen" -s h -l help -d 'Print help'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l profile -d 'The profile, TOML' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l certificate -d 'The device certificate, PEM or DER' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l device-ca -d 'The certificates of the factory\'s authority, PEM or DER. The device certificate must chain to one of them' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l device -d 'The device id, 64 hexadecimal digits, as read from the device itself (softsimctl status): SHA-256 of the device key\'s SubjectPublicKeyInfo. It replaces --device-ca' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l statement -d 'The sealing statement, as `softsimctl enrol` writes it' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l key -d 'The operator\'s signing key, as `keygen` writes it' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l sequence -d 'A number higher than in every earlier package and command of this operator for this device' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l not-before -d 'The first second in which a device may accept it: seconds since 1970, or YYYY-MM-DDTHH:MM:SSZ' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l not-after -d 'The last second in which a device may accept it' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l out -d 'The file to write' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l supplicant-consent -d 'Allow the device to give raw CK and IK to an unmodified supplicant'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l allow-test-profiles -d 'Also seal profiles that only a laboratory may have: with keys of zeros, the XOR algorithm, or numbers that no network assigns. softsim-keyd accepts them only with its own --allow-test-profiles'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -l json -d 'Print JSON: the result, or one object on standard error if it fails'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand seal" -s h -l help -d 'Print help'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and not __fish_seen_subcommand_from enable disable delete rotate-sealing-key help" -s h -l help -d 'Print help'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and not __fish_seen_subcommand_from enable disable delete rotate-sealing-key help" -f -a "enable" -d 'Use a profile of this operator, instead of the one that is in use'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and not __fish_seen_subcommand_from enable disable delete rotate-sealing-key help" -f -a "disable" -d 'Stop using a profile of this operator, even if it is the only one'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and not __fish_seen_subcommand_from enable disable delete rotate-sealing-key help" -f -a "delete" -d 'Delete a disabled profile of this operator'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and not __fish_seen_subcommand_from enable disable delete rotate-sealing-key help" -f -a "rotate-sealing-key" -d 'Generate another sealing key. The device can then no longer open what was sealed to the previous one; `softsimctl enrol` writes the new sealing statement'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and not __fish_seen_subcommand_from enable disable delete rotate-sealing-key help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -l certificate -d 'The device certificate, PEM or DER' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -l device-ca -d 'The certificates of the factory\'s authority, PEM or DER. The device certificate must chain to one of them' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -l device -d 'The device id, 64 hexadecimal digits, as read from the device itself (softsimctl status): SHA-256 of the device key\'s SubjectPublicKeyInfo. It replaces --device-ca' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -l key -d 'The operator\'s signing key, as `keygen` writes it' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -l sequence -d 'A number higher than in every earlier package and command of this operator for this device' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -l not-before -d 'The first second in which a device may accept it: seconds since 1970, or YYYY-MM-DDTHH:MM:SSZ' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -l not-after -d 'The last second in which a device may accept it' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -l out -d 'The file to write' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -l json -d 'Print JSON: the result, or one object on standard error if it fails'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -l certificate -d 'The device certificate, PEM or DER' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -l device-ca -d 'The certificates of the factory\'s authority, PEM or DER. The device certificate must chain to one of them' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -l device -d 'The device id, 64 hexadecimal digits, as read from the device itself (softsimctl status): SHA-256 of the device key\'s SubjectPublicKeyInfo. It replaces --device-ca' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -l key -d 'The operator\'s signing key, as `keygen` writes it' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -l sequence -d 'A number higher than in every earlier package and command of this operator for this device' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -l not-before -d 'The first second in which a device may accept it: seconds since 1970, or YYYY-MM-DDTHH:MM:SSZ' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -l not-after -d 'The last second in which a device may accept it' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -l out -d 'The file to write' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -l json -d 'Print JSON: the result, or one object on standard error if it fails'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -l certificate -d 'The device certificate, PEM or DER' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -l device-ca -d 'The certificates of the factory\'s authority, PEM or DER. The device certificate must chain to one of them' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -l device -d 'The device id, 64 hexadecimal digits, as read from the device itself (softsimctl status): SHA-256 of the device key\'s SubjectPublicKeyInfo. It replaces --device-ca' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -l key -d 'The operator\'s signing key, as `keygen` writes it' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -l sequence -d 'A number higher than in every earlier package and command of this operator for this device' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -l not-before -d 'The first second in which a device may accept it: seconds since 1970, or YYYY-MM-DDTHH:MM:SSZ' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -l not-after -d 'The last second in which a device may accept it' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -l out -d 'The file to write' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -l json -d 'Print JSON: the result, or one object on standard error if it fails'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -l certificate -d 'The device certificate, PEM or DER' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -l device-ca -d 'The certificates of the factory\'s authority, PEM or DER. The device certificate must chain to one of them' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -l device -d 'The device id, 64 hexadecimal digits, as read from the device itself (softsimctl status): SHA-256 of the device key\'s SubjectPublicKeyInfo. It replaces --device-ca' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -l key -d 'The operator\'s signing key, as `keygen` writes it' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -l sequence -d 'A number higher than in every earlier package and command of this operator for this device' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -l not-before -d 'The first second in which a device may accept it: seconds since 1970, or YYYY-MM-DDTHH:MM:SSZ' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -l not-after -d 'The last second in which a device may accept it' -r
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -l out -d 'The file to write' -r -F
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -l json -d 'Print JSON: the result, or one object on standard error if it fails'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from rotate-sealing-key" -s h -l help -d 'Print help'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Use a profile of this operator, instead of the one that is in use'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Stop using a profile of this operator, even if it is the only one'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a disabled profile of this operator'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from help" -f -a "rotate-sealing-key" -d 'Generate another sealing key. The device can then no longer open what was sealed to the previous one; `softsimctl enrol` writes the new sealing statement'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand command; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand help; and not __fish_seen_subcommand_from keygen seal command help" -f -a "keygen" -d 'Generate the operator\'s signing key (mode 0600) and the public key that devices trust'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand help; and not __fish_seen_subcommand_from keygen seal command help" -f -a "seal" -d 'Seal a profile for the device that signed a sealing statement'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand help; and not __fish_seen_subcommand_from keygen seal command help" -f -a "command" -d 'Sign a command for a device. It travels like a sealed profile, and applies only to profiles that this operator installed'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand help; and not __fish_seen_subcommand_from keygen seal command help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand help; and __fish_seen_subcommand_from command" -f -a "enable" -d 'Use a profile of this operator, instead of the one that is in use'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand help; and __fish_seen_subcommand_from command" -f -a "disable" -d 'Stop using a profile of this operator, even if it is the only one'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand help; and __fish_seen_subcommand_from command" -f -a "delete" -d 'Delete a disabled profile of this operator'
complete -c softsim-issuer -n "__fish_softsim_issuer_using_subcommand help; and __fish_seen_subcommand_from command" -f -a "rotate-sealing-key" -d 'Generate another sealing key. The device can then no longer open what was sealed to the previous one; `softsimctl enrol` writes the new sealing statement'
