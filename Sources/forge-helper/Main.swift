import ForgeStages
import Glibc

@main struct Main {
    static func main() { exit(HelperMain.main(Array(CommandLine.arguments.dropFirst()))) }
}
