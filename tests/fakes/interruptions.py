"""What people say in the middle of a number that they read out on the phone. Only tables; knows no detector."""

from typing import Final


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


CALLER: Final = _lines(
    """
    wait a minute
    i am sorry
    just a minute
    hold on one second
    one moment please
    let me turn it over
    give me two seconds
    my phone is ringing sorry
    can you hear me
    the dog is barking
    did you get that
    i am reading it
    let me get my glasses
    in order
    and the next four are
    second group
    next group
    the rest is
    what time is it
    second one is
    i can't read this it's worn off
    hang on my wife is calling
    just a sec
    sorry it's dark in here
    are you there
    and the last four
    last four
    then it goes
    i need to get my other glasses
    sorry i dropped my phone
    hold on a couple of minutes
    and in the second row
    from the top
    i'm in my car
    so far so good
    my kids are loud today
    got that so far
    it's may be hard to read
    the last group is
    it says
    number
    i may have to repeat that
    the store was loud
    are you still there
    did you get the first four
    did you catch all that or should i say it again
    i'll give you the last four in a second
    those were the first eight digits
    the next two digits are
    now the third set of four
    hold on there are three cards in my wallet
    sorry my two kids are screaming at each other
    give me half a minute i have to find the light
    let me put you on speaker for a second
    okay you are on speaker now
    my reading glasses are in the other room
    i have to hold it further away
    is that a one or a seven i can't tell
    it could be a three or an eight hold on
    the print is very small
    some of it is scratched off
    there is a lot of noise on this street
    the train is just passing by
    somebody is at the door one minute
    my husband is asking me something
    can you wait for thirty seconds please
    it will take me five minutes to find the rest
    i hope you are writing this down
    are you typing
    do you want me to slow down
    am i going too fast
    shall i go on
    should i repeat the first part
    could you read that back to me
    let me start over from there
    no i lost my place
    where did i stop
    i think i said that already
    you are breaking up
    the line is really bad today
    i can barely hear you
    hello
    what was that
    excuse me i have a cold
    bless you
    sorry about that my cat jumped on the table
    i spilled my coffee hold on
    let me pull over first
    i am walking the dog and it's raining
    that's the end of the first line
    the second line starts with
    and then on the right side
    below that it says
    then there is a gap and then
    after the gap
    the digits in the middle are
    and it ends with
    the other half is
    here come the last few
    only four more to go
    that's twelve so far right
    how many do you need
    do you need all sixteen
    you need the long one on the front right
    it is the one that expires next year
    it's my business account by the way
    my daughter got me this one last month
    the bank sent me a new one in march
    it's ten past nine here i am still half asleep
    i'm at work so i have to be quiet
    hang on the baby just woke up
    oh for crying out loud my pen fell down
    let me wipe the screen
    i'm squinting here
    honey could you turn the tv down
    ugh this lamp is useless
    one of the numbers is rubbed out
    are you getting all this
    tell me if i am too quick
    my battery is at two percent so let's hurry
    i've got about ten minutes before my bus comes
    sorry the doorbell
    that was the neighbour never mind
    you know what let me use my magnifier
    um where did my finger go
    right moving along to the bottom half
    the first two of this bunch look smudged
    i was never good at this
    don't write this one down wrong please
    could you stay on the line for a moment
    it's three in the morning where i am
    pardon me i had to sneeze
    my five year old is pulling on the cord
    the wind is awful out here
    my mother used to do this for me
    okay picking up from where we were
    hope this is the correct one
    these raised letters are hard to make out
    alexa stop
    i put it back into my purse by mistake
    what did you say
    yes i'm here i just went through a tunnel
    ready for the next bit
    i'll go a little slower
    then the bit after the space reads
    there's one more chunk
    okay one last thing before the final four
    no not you i was talking to my son
    sorry there are about twenty people in this waiting room
    do i need to give you the whole thing
    """
)
"""What the caller says; 42 of them are those of an audit (November 2026)."""
AGENT: Final = _lines(
    """
    Sure, take your time.
    No problem, I can wait.
    Are you still there?
    I got the first four, please go on.
    Okay, and the next four?
    Sorry, could you say the last two again?
    One moment, my system is slow today.
    You are breaking up a little, please go on.
    Thank you. I have that so far.
    And the remaining digits please?
    Just give me two seconds to type that in.
    Is that everything?
    I think the line dropped for a second.
    Was that a five or a nine?
    There should be four more digits.
    Mhm, and what comes after that?
    Apologies, my headset cut out for two seconds.
    Perfect. Keep going whenever you are ready.
    I have eight of them now.
    No rush at all.
    Could you speak up a bit?
    """
)
HELD_OUT_CALLER: Final = _lines(
    """
    goodness my neighbour is drilling again
    wait which side am i supposed to read
    oops that was my thumb in the way
    give me a tick i am on crutches
    i've had this thing since i was twenty so it is worn
    let me tilt it towards the window
    the waiter is coming over just ignore him
    sweetheart please mommy is on the phone
    you sound far away all of a sudden
    is this even secure
    will somebody call me back if we get cut off
    bear with me my hands are shaking
    i always mix up this part
    that little strip is in the way
    we are about halfway there
    got another nine or so coming
    there are six people behind me in line
    my arthritis is killing me today
    i wrote it on a sticky note let me find it
    that's all of the top row
    continuing on the left
    below the hologram i see
    yeah no the screen went black
    one of my contact lenses is missing
    it has been a long day
    so where were we
    did my voice drop out again
    wow these digits are tiny
    i am eighty one years old you have to be patient with me
    the microwave is beeping
    oh here comes my bus
    just a heads up i might sneeze
    shoot i think i skipped some
    no worries i have it memorized
    lemme scroll down in the app
    tap to reveal okay there it is
    and to finish it off
    are we good
    sorry were you saying something
    i need both hands for this
    """
)
"""Interruptions to which the detector was not fitted; their leaks are counted apart."""
HELD_OUT_AGENT: Final = _lines(
    """
    Of course. Whenever you have it.
    Right, I have noted that part.
    My colleague just asked me something, sorry.
    So far that makes six of them.
    Could you say that a little louder for me?
    Uh-huh.
    """
)
