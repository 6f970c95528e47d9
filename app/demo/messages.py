"""What passengers of a cancelled flight write, in their own words and languages. Text only; it knows nobody.

A few are what a stranger could send to see what breaks.
"""

TEXTS: dict[str, tuple[str, ...]] = {
    "en": (
        "My flight {flight} is cancelled. What do I do now?",
        "CANCELLED!!! I have been standing in line for 3 hours and nobody tells me anything. {flight}",
        "Please refund my ticket. I do not want to be rebooked.",
        "Can I get on another flight on Sunday? We are two adults and a baby.",
        "hi, our hotel for tonight: who pays for that? I kept all the receipts",
        "I wrote to you before but did not get an answer. {flight}",
        "My mother (81) travels alone and uses a wheelchair. Please call me about {flight}.",
        "Is my bag still in New York?",
        "I missed my connection because of this. I want compensation.",
        "Third time I fill in this form, the page was so slow that I did not know if it worked.",
        "please advise",
    ),
    "nl": (
        "Mijn vlucht {flight} is geannuleerd. Wat nu?",
        "Ik wil graag mijn geld terug, geen andere vlucht.",
        "Wij staan al vier uur in de rij en niemand vertelt ons iets. {flight}",
        "Kan ik zondag mee? Wij zijn met z'n tweeën en een baby.",
        "Wie betaalt het hotel van vannacht? Ik heb de bonnetjes bewaard.",
        "Ik heb al eerder gemaild maar nog niets gehoord.",
        "Waar is mijn koffer?",
    ),
    "de": (
        "Mein Flug {flight} wurde gestrichen. Wie geht es weiter?",
        "Ich möchte mein Geld zurück.",
        "Wo ist mein Gepäck? Grüße aus der Warteschlange",
    ),
    "fr": ("Mon vol {flight} est annulé. Que dois-je faire ?", "Je voudrais être remboursé, s'il vous plaît."),
    "es": ("Mi vuelo {flight} está cancelado. ¿Qué hago ahora?", "Quiero que me devuelvan el dinero."),
    "it": ("Il mio volo {flight} è stato cancellato. Che cosa devo fare?",),
    "pl": ("Mój lot {flight} jest odwołany. Co mam zrobić?",),
    "sv": ("Mitt flyg {flight} är inställt. Vad gör jag nu?",),
}

STRANGE: tuple[str, ...] = (
    "<script>alert('{flight}')</script><img src=x onerror=alert(1)>",
    "'; DROP TABLE contacts; --",
    "{flight} \U0001f62d\U0001f62d\U0001f62d ✈️❄️",
    "\u202ereversed\u202c text, and a line\r\nBcc: everybody@example.org",
    "{{ 7 * 7 }} {% raw %} %s %d ${{HOME}}",
    "أين رحلتي؟ 我的航班呢？",
    "help " * 300,
)
