"""Words of the bundled dictionary that nobody wants to be misheard with.

Insults, slurs and swearing. Terms of anatomy, medicine and law are none: people speak of
those in earnest.
"""

_WORDS = (
    "arse arsehole arses ass asses asshole assholes bad-ass badass bastard bastard's bastards"
    " big-ass bitch bitches bitchiness bitching bitchy blowjob blowjobs boner bugger bullshit"
    " bullshitter bullshitting chink chinks cock cocks cocksucker coon coons crap crappy craps cum"
    " cunt cyberporn darkie dick dick's dickhead dicks dildo dildos dipshit dumb-ass dumbass fag"
    " faggot fags fuck fuck's fucked fucked-up fucker fuckers fuckin fucking fucks goddam"
    " goddammit goddamn goddamned gook half-cock hard-ass horny horseshit jackass kick-ass"
    " motherfucker motherfucker's motherfuckers motherfucking nigger nigger's niggers piss"
    " piss-poor pissed pisses pissing porn porno prick pricks pussies pussy retard retarded"
    " retards scumbag scumbags shit shit's shithead shithole shitila shitload shits shitstorm"
    " shitting shitty slut sluts slutty smart-ass smartass son-of-a-bitch spic tit tits twat twats"
    " wank wanker wankers whore whores wop wops"
)

VULGAR = frozenset(_WORDS.split())
