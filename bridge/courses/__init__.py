"""The catalogue of the platform, on its way into the customers' LMSs.

catalogue   a YAML or CSV file to courses, every problem with its line
table       CSV as the settings' loader sees YAML
links       where a course of the catalogue is found, per tenant
offer       the catalogue as one tenant gets it
push        an offer to Kombo: what changed, in chunks, until each course has its fate
tasks       the bulk tasks that have not ended
fates       what a bulk task's answer says, where it can be believed
closing     deactivating a course
mapping     the course map by hand, for courses pushed before the bridge came
"""
