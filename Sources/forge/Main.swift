import ForgeCLI
import Glibc

@main struct Main {
    static func main() { exit(Forge.main(Array(CommandLine.arguments.dropFirst()))) }
}
