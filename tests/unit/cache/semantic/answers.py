"""Pairs of answers, made here: said in other words, and to another question of the same words."""

ALIKE = [
    ("Paris is the capital of France.", "The capital of France is Paris."),
    (
        "To reset your password, open Settings, choose Security and click on Reset password. You will get an email with a link.",
        "Open Settings, choose Security, then click Reset password. An email with a link will be sent to reset your password.",
    ),
    (
        "Photosynthesis is the process by which plants turn light, water and carbon dioxide into sugar and oxygen.",
        "In photosynthesis plants turn light, water and carbon dioxide into oxygen and sugar.",
    ),
    (
        "A virus is much smaller than a bacterium and can multiply only inside the cells of a host.",
        "Viruses are far smaller than bacteria, and they can only multiply within a host's cells.",
    ),
    (
        "Water the plant once a week and keep it in bright light, but out of direct sun.",
        "Keep the plant in bright light out of direct sun, and water it once a week.",
    ),
    (
        "The order can be returned within 30 days if it is unused and in the original packaging.",
        "You can return an order within 30 days, provided it is unused and still in its original packaging.",
    ),
    (
        "Use a list when the order matters and a set when you only need to know whether an item is there.",
        "Choose a list if order matters; choose a set if you only need to know whether an item is in it.",
    ),
    (
        "The invoice is sent by email on the first day of each month and must be paid within two weeks.",
        "We send the invoice by email on the first day of each month. It must be paid within two weeks.",
    ),
    (
        "Yes, you can change the delivery address until the parcel has been shipped.",
        "Yes, the delivery address can be changed until the parcel is shipped.",
    ),
    (
        "Light from the sun takes about eight minutes to reach the earth.",
        "It takes about eight minutes for light from the sun to reach the earth.",
    ),
]

DIFFERENT = [
    ("The capital of France is Paris.", "The capital of Germany is Berlin."),
    ("Yes, you can change the delivery address.", "No, the delivery address cannot be changed."),
    ("The fee is 12 euros a month.", "The fee is 20 euros a month."),
    (
        "To reset your password, open Settings, choose Security and click on Reset password.",
        "To delete your account, open Settings, choose Privacy and confirm with your password.",
    ),
    (
        "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
        "Respiration turns sugar and oxygen into energy, water and carbon dioxide.",
    ),
    ("The meeting is on Monday in the large room.", "The meeting is on Friday in the large room."),
    (
        "Aspirin thins the blood, so stop taking it some days before an operation.",
        "A cold passes by itself; drink a lot, rest, and see a doctor if the fever is high.",
    ),
    ("Bob lent Alice the money.", "The shop opens at nine."),
    (
        "Bread rises because yeast makes gas from sugar, which the dough holds.",
        "Pasta is cooked when it is soft outside and still firm in the middle.",
    ),
    ("You should never mix bleach and ammonia.", "You should mix flour and water."),
]
